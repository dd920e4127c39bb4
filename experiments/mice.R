# R's mice on CSVs with gaps, for comparison with experiments/fidelity.py and
# experiments/coverage.py.
#
#   Rscript mice.R GAPS.csv OUT METHOD M MAXIT SEED [GAPS.csv OUT SEED ...]
#
# METHOD is one of mice's for all columns, "default", or four of them separated
# by commas: of numbers, two levels, more levels and ordered ones. Writes
# OUT_1.csv ... OUT_M.csv, and prints the seconds that mice took without
# starting R. More tables may follow, so that R starts once for all.
arguments <- commandArgs(trailingOnly = TRUE)
suppressMessages(library(mice))
methods <- strsplit(arguments[3], ",")[[1]]
count <- as.integer(arguments[4])
jobs <- matrix(c(arguments[c(1, 2, 6)], arguments[-(1:6)]), nrow = 3)
seconds <- 0
for (j in seq_len(ncol(jobs))) {
  table <- read.csv(
    jobs[1, j],
    stringsAsFactors = TRUE, check.names = FALSE, na.strings = c("", "NA")
  )
  columns <- names(table)
  names(table) <- make.names(columns, unique = TRUE)
  settings <- list(
    table,
    m = count, maxit = as.integer(arguments[5]),
    seed = as.integer(jobs[3, j]), printFlag = FALSE
  )
  if (length(methods) > 1) {
    settings$defaultMethod <- methods
  } else if (methods != "default") {
    settings$method <- methods
  }
  start <- proc.time()[3]
  fitted <- do.call(mice, settings)
  seconds <- seconds + proc.time()[3] - start
  for (k in seq_len(count)) {
    filled <- complete(fitted, k)
    names(filled) <- columns
    write.csv(filled, paste0(jobs[2, j], "_", k, ".csv"), row.names = FALSE)
  }
}
cat("seconds", seconds, "\n")
