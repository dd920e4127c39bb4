# R's mice on a CSV with gaps, for comparison with experiments/fidelity.py.
#
#   Rscript mice.R GAPS.csv OUT METHOD M MAXIT SEED
#
# METHOD is one of mice's, or "default"; writes OUT_1.csv ... OUT_M.csv, and
# prints the seconds that mice took without starting R.
arguments <- commandArgs(trailingOnly = TRUE)
suppressMessages(library(mice))
table <- read.csv(
  arguments[1],
  stringsAsFactors = TRUE, check.names = FALSE, na.strings = c("", "NA")
)
columns <- names(table)
names(table) <- make.names(columns, unique = TRUE)
count <- as.integer(arguments[4])
settings <- list(
  table,
  m = count, maxit = as.integer(arguments[5]),
  seed = as.integer(arguments[6]), printFlag = FALSE
)
if (arguments[3] != "default") settings$method <- arguments[3]
start <- proc.time()[3]
fitted <- do.call(mice, settings)
seconds <- proc.time()[3] - start
for (k in seq_len(count)) {
  filled <- complete(fitted, k)
  names(filled) <- columns
  write.csv(filled, paste0(arguments[2], "_", k, ".csv"), row.names = FALSE)
}
cat("seconds", seconds, "\n")
