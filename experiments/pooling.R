# What R's mice pools from four filled tables, for tests/test_pooling.py.
#
#   Rscript experiments/pooling.R > tests/pooling.json
#
# needs the packages mice and mitml, and takes 3 seconds. The gaps of nhanes are
# filled without random numbers: table k has the observed values of the column
# in their order, from a place that k gives. So the numbers are the same on
# every machine; as imputations they are worth nothing.
suppressMessages(library(mice))
tables <- lapply(1:4, function(k) {
  filled <- as.data.frame(lapply(nhanes, function(column) {
    seen <- column[!is.na(column)]
    gaps <- which(is.na(column))
    column[gaps] <- seen[(5 * k + seq_along(gaps)) %% length(seen) + 1]
    column
  }))
  transform(filled, sick = hyp - 1)
})
fits_of <- function(fit) as.mira(lapply(tables, fit))
each <- function(fits, part) t(sapply(getfit(fits), part))
few <- function(fits) getfit(fits)[1:2]
likelihoods <- function(deviances) -deviances / 2
test <- function(found) unname(unlist(found)) # F, df1, df2, p, riv

full <- fits_of(function(t) lm(chl ~ age + bmi + hyp, t))
small <- fits_of(function(t) lm(chl ~ hyp, t))
lower <- function(fit) vcov(fit)[lower.tri(diag(4), diag = TRUE)]
columns <- c(
  "estimate", "std.error", "statistic", "df", "p.value", "2.5 %", "97.5 %",
  "riv", "lambda", "fmi"
)
of_sick <- function(right) {
  fits_of(function(t) glm(as.formula(paste("sick ~", right)), binomial, t))
}
more <- of_sick("age + bmi + chl")
less <- of_sick("bmi")
ratio <- D3(more, less)

answers <- list(
  estimates = each(full, coef),
  covariances = each(full, lower), # lower triangles, column by column
  df_complete = full$analyses[[1]]$df.residual,
  pool = as.matrix(summary(pool(full), type = "all", conf.int = TRUE)[columns]),
  r_squared = each(full, function(f) summary(f)$r.squared),
  adjusted = each(full, function(f) summary(f)$adj.r.squared),
  pool_r_squared = pool.r.squared(full),
  pool_adjusted = pool.r.squared(full, adjusted = TRUE),
  d1 = test(D1(full, small)$result),
  d1_of_all = test(D1(full)$result), # but the intercept
  d1_of_one = test(D1(full, fits_of(function(t) lm(chl ~ age + hyp, t)))$result),
  d1_large = test(mitml::testModels(getfit(full), getfit(small))$test),
  d1_of_two = test(mitml::testModels(few(full), few(small))$test),
  d2_wald = test(D2(full, small)$result),
  likelihoods = t(sapply(ratio$deviances, likelihoods)),
  d2 = test(D2(more, less, use = "likelihood")$result),
  d3 = test(ratio$result)
)
write <- function(x) {
  if (!is.matrix(x) || nrow(x) == 1) {
    words <- vapply(x, format, "", digits = 12)
    return(paste0("[", paste(words, collapse = ", "), "]"))
  }
  paste0("[\n  ", paste(apply(x, 1, write), collapse = ",\n  "), "\n]")
}
pairs <- paste0("\"", names(answers), "\": ", vapply(answers, write, ""))
cat("{\n", paste(pairs, collapse = ",\n"), "\n}\n", sep = "")
