# Writes r_reference.json: per-group regressions and marginal covariance matrices by R, for
# test_pooling.py and test_implied_covariance.py.
# Run in this folder: Rscript make_r_reference.R   (R 4.2.2, lme4 1.1-31, nlme 3.1-162, jsonlite)
suppressMessages({library(lme4); library(nlme); library(jsonlite)})

data(sleepstudy, package = "lme4")
# unbalanced: every third row of later subjects is missing
keep <- !(as.integer(sleepstudy$Subject) > 9 & seq_len(nrow(sleepstudy)) %% 3 == 0)
d <- sleepstudy[keep, ]
d$w <- rep(c(0.5, 1, 2, 4), length.out = nrow(d))
d$Half <- as.integer(d$Days > 4)

matrices <- function(frame) as.matrix(frame)
out <- list(rows = which(keep) - 1, w = d$w)
out$lists <- list(
  slopes = matrices(coef(lme4::lmList(Reaction ~ Days | Subject, d))),
  intercepts = matrices(coef(lme4::lmList(Reaction ~ 1 | Subject, d))),
  weighted = t(sapply(split(d, d$Subject), function(s) coef(lm(Reaction ~ Days, s, weights = w))))
)
out$complete <- list(
  slopes = coef(lm(Reaction ~ Days, d)),
  weighted = coef(lm(Reaction ~ Days, d, weights = w))
)
out$partial <- list(
  slopes = matrices(coef(lmer(Reaction ~ Days + (Days | Subject), d))$Subject),
  weighted = matrices(coef(lmer(Reaction ~ Days + (Days | Subject), d, weights = w))$Subject)
)

V <- function(model, who) {
  found <- getVarCov(model, individuals = who, type = "marginal")[[1]]
  unname(as.matrix(found))
}
tight <- lmeControl(msTol = 1e-13, tolerance = 1e-12, niterEM = 200, msMaxIter = 500, opt = "nlminb")
out$marginal <- list(
  intercept = V(lme(travel ~ 1, Rail, ~ 1 | Rail, control = tight), "1"),
  slopes = V(lme(Reaction ~ Days, d, ~ Days | Subject, control = tight), "350"),
  # nlme's weights are variances: sigma^2 / w
  weighted = V(lme(Reaction ~ Days, d, ~ 1 | Subject, weights = varFixed(~ I(1 / w)), control = tight), "350")
)
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "r_reference.json")
