# Writes r_reference.json: model matrices that R makes of a small data frame, for test_matches_r.py.
# Run in this folder: Rscript make_r_reference.R   (R 4.2.2, splines, lme4 1.1-31, jsonlite)
library(splines)
suppressMessages(library(lme4))

set.seed(20)
n <- 36
d <- data.frame(
  y = round(rnorm(n), 3),
  x = round(rnorm(n, 5, 2), 3),
  z = rep(c(1, 2, 3, 4, 6, 9), 6),
  k = rep(1:3, 12),
  flag = rep(c(TRUE, FALSE, FALSE), 12),
  a = rep(c("a1", "a2"), each = 18),
  b = rep(c("b1", "b2", "b3"), 12),
  o = rep(c("low", "mid", "high", "top"), 9),
  g = rep(c("g3", "g1", "g2"), each = 12)
)
types <- function(d) transform(d, a = factor(a), b = factor(b),
  o = factor(o, c("low", "mid", "high", "top"), ordered = TRUE), g = factor(g))
f <- types(d)

matrices <- c(
  "~ x", "~ 0 + x", "~ a", "~ 0 + a", "~ a + b", "~ 0 + a + b", "~ 0 + x + b", "~ a * b",
  "~ a:b", "~ a + a:b", "~ a / b", "~ b %in% a", "~ a:x", "~ x:a", "~ x + a:x", "~ 0 + a:x",
  "~ a * x", "~ (a + b + x)^2", "~ a * b * x", "~ a * b * x - a:b:x", "~ flag", "~ flag * x",
  "~ I(x > 5)", "~ o", "~ 0 + o", "~ o * a", "~ factor(k)", "~ factor(k):x", "~ a + b:o",
  "~ b:a + a", "~ x:b:a + x", "~ 0 + x + x:a", "~ 1 + x - 1", "~ x + I(x^2) + I(x/10)",
  "~ I((x - 5)^2 * z)", "~ log(x + 1) + log2(z) + log(z, 3) + exp(-x)", "~ I(k %% 2) + I(k %/% 2)",
  "~ scale(x)", "~ scale(x, scale = FALSE)", "~ scale(x, center = FALSE)", "~ poly(x, 3)",
  "~ poly(z, 2, raw = TRUE)", "~ a * poly(x, 2)", "~ bs(x)", "~ bs(x, df = 5)",
  "~ bs(z, knots = c(2, 5), degree = 2)", "~ bs(x, df = 6, intercept = TRUE)",
  "~ bs(x, Boundary.knots = c(0, 12), df = 4)", "~ ns(x)", "~ ns(x, df = 3)", "~ ns(z, df = 3)",
  "~ ns(x, knots = c(4, 6))", "~ ns(x, df = 4, intercept = TRUE)",
  "~ ns(x, df = 3, Boundary.knots = c(3, 8))", "~ C(a, contr.sum)", "~ C(b, contr.helmert) * x",
  "~ C(b, contr.treatment(3, base = 2))", "~ C(b, contr.treatment, base = 3)", "~ C(b, contr.poly)", "~ relevel(b, ref = \"b3\")",
  "~ factor(b, levels = c(\"b2\", \"b1\", \"b3\"))", "~ as.numeric(o)", "~ I(b == \"b2\")",
  "~ sqrt(abs(x)) + sin(z) + cos(z)", "~ I(x * (z + 1) - -k^2)", "~ ordered(k)"
)
entry <- function(text, contrasts = NULL) {
  m <- model.matrix(as.formula(text), f, contrasts.arg = contrasts)
  list(formula = text, contrasts = contrasts, names = colnames(m), rows = unname(m[, , drop = FALSE]))
}
out <- list(
  data = d,
  matrices = lapply(matrices, entry),
  contrasts = list(
    entry("~ a * b", list(a = "contr.sum", b = "contr.sum")),
    entry("~ b * x", list(b = "contr.helmert")),
    entry("~ b + a", list(b = "contr.poly", a = "contr.treatment")),
    entry("~ o", list(o = "contr.treatment")),
    entry("~ 0 + b + a", list(b = "contr.sum", a = "contr.sum"))
  )
)
# the same expressions on rows that were not in the data: R's safe prediction
new <- types(d[c(5, 17, 30), ]); new$x <- c(-1, 5.5, 20); new$z <- c(0, 2.5, 12)
safe <- c("~ poly(x, 3)", "~ bs(x, df = 5)", "~ ns(x, df = 3)", "~ ns(z, df = 3)", "~ scale(x)",
          "~ a * poly(z, 2)", "~ b + o")
predict_rows <- function(text) {
  t <- terms(model.frame(as.formula(text), f))
  new$b <- factor(new$b, levels(f$b)); new$a <- factor(new$a, levels(f$a))
  new$o <- factor(new$o, levels(f$o), ordered = TRUE)
  list(formula = text, rows = unname(model.matrix(t, suppressWarnings(model.frame(t, new)))))
}
out$new <- list(rows = c(5, 17, 30) - 1, x = new$x, z = new$z, matrices = lapply(safe, predict_rows))
# rows with missing values are dropped after the transforms have seen them
m <- f; m$y[c(2, 9)] <- NA; m$x[c(4, 9)] <- NA; m$b[7] <- NA
part <- lFormula(y ~ scale(x) + poly(z, 2) + b + (x | g), m)
out$missing <- list(names = colnames(part$X), rows = unname(part$X[, , drop = FALSE]),
                    kept = as.integer(rownames(part$X)) - 1L)
random <- c("(x | g)", "(0 + x | g)", "(a | g)", "(0 + b | g)", "(o | g)", "(a * x | g)",
            "(poly(x, 2) | g)", "(flag | g)", "(1 | g:a)", "(1 | a:b)")
out$random <- lapply(random, function(text) {
  r <- lFormula(as.formula(paste("y ~ 1 +", text)), f,
                control = lmerControl(check.nobs.vs.nRE = "ignore"))$reTrms
  list(term = text, names = r$cnms[[1]], levels = levels(r$flist[[1]]),
       Zt = unname(as.matrix(r$Zt)))
})
jsonlite::write_json(out, "r_reference.json", digits = 17, auto_unbox = TRUE, null = "null")
