# Deletions by lme4, for tests of `influence(exact=True)`: every case is refitted by lmer.
#   Rscript make_r_reference.R > r_reference.json
# lme4's influence() refits with its default optimizer; the models are refitted here with tight
# tolerances instead, and fixed effects, standard errors and Cook's distance formed as it does.
suppressMessages({library(lme4); library(jsonlite)})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5),
                     calc.derivs = FALSE, check.conv.singular = "ignore")
deletions <- function(formula, data, by, ...) {
  data$.by <- if (is.null(by)) factor(seq_len(nrow(data))) else data[[by]]
  full <- lmer(formula, data, control = tight, ...)
  V <- as.matrix(vcov(full))
  cases <- levels(factor(data$.by))
  fits <- lapply(cases, function(case) lmer(formula, data[data$.by != case, ], control = tight, ...))
  beta <- t(sapply(fits, fixef))
  if (length(fixef(full)) == 1) beta <- t(beta)
  se <- t(sapply(fits, function(f) sqrt(diag(as.matrix(vcov(f))))))
  if (length(fixef(full)) == 1) se <- t(se)
  db <- beta - matrix(fixef(full), nrow(beta), ncol(beta), byrow = TRUE)
  m <- nrow(db); p <- ncol(db)
  list(formula = deparse(formula), by = by, cases = cases, beta = beta, dfbetas = db / se,
       cooks = apply(db, 1, function(d) (m - p) / (m * p) * drop(d %*% solve(V, d))),
       sigma = sapply(fits, sigma))
}
reported <- function() {  # lme4's own words, for its conventions
  m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
  i <- influence(m, "Subject")
  list(cooks = unname(cooks.distance(i)), dfbetas = unname(dfbetas(i)))
}
set.seed(1)
out <- list(
  version = as.character(packageVersion("lme4")),
  sleepstudy = deletions(Reaction ~ Days + (Days | Subject), sleepstudy, "Subject"),
  dyestuff_rows = deletions(Yield ~ 1 + (1 | Batch), Dyestuff, NULL),
  pastes_batch = deletions(strength ~ 1 + (1 | batch/cask), Pastes, "batch", REML = FALSE),
  penicillin = deletions(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, "sample"),
  lme4 = reported()
)
cat(toJSON(out, digits = NA, auto_unbox = TRUE, null = "null"), "\n")
