# What R's emmeans says about models of one simulated, unbalanced data set: an oracle for the tests
# in tests/emmeans. Run it in this folder: Rscript emmeans.R writes emmeans.json.gz.
#
# Data are rounded, so that the numbers in the file are the numbers R used. Tables are written with
# 17 digits; optimisers run with tight tolerances, as theta is needed to about eight digits.

suppressMessages({library(lme4); library(lmerTest); library(emmeans); library(jsonlite)})
emm_options(lmer.df = "satterthwaite", msg.interaction = FALSE, msg.nesting = FALSE)

set.seed(20240229)
n <- 160
d <- data.frame(
  g = sample(sprintf("g%02d", 1:12), n, TRUE),
  a = factor(sample(c("a1", "a2", "a3"), n, TRUE, c(.5, .3, .2))),
  b = factor(sample(c("u", "v"), n, TRUE, c(.65, .35))),
  c = factor(sample(c("lo", "mid", "hi", "top"), n, TRUE, c(.3, .3, .2, .2)),
             levels = c("lo", "mid", "hi", "top")),
  k = sample(c(1, 2, 5), n, TRUE, c(.2, .5, .3)),
  flag = sample(c(TRUE, FALSE), n, TRUE, c(.3, .7)),
  z = sample(c(0, 10), n, TRUE, c(.4, .6)),
  x = round(rnorm(n, 1), 3),
  p = round(rgamma(n, 3, 1) + .2, 3),
  o = round(rnorm(n), 3)
)
d$region <- factor(sample(c("N", "S", "W"), n, TRUE, c(.5, .2, .3)))
sites <- list(N = c("N1", "N2", "N3"), S = "S1", W = c("W1", "W2"))
d$site <- factor(sapply(as.character(d$region), function(r) sample(rep(sites[[r]], 2), 1)))
effect <- rnorm(12)
d$y <- round(5 + as.integer(d$a) + (d$b == "v") * d$x + .5 * as.integer(d$c) + .1 * d$z +
  .4 * as.integer(d$site) + .3 * d$x * as.integer(d$a) + log(d$p) +
  effect[as.integer(factor(d$g))] + rnorm(n), 3)
d$q <- round(exp(d$y / 5), 3)
o <- d; o$c <- factor(o$c, ordered = TRUE)
gap <- subset(d, !(a == "a1" & c == "hi"))

control <- lmerControl(optimizer = "nloptwrap", check.rankX = "silent.drop.cols",
  optCtrl = list(xtol_abs = 1e-14, xtol_rel = 1e-14, ftol_abs = 1e-14, ftol_rel = 0, maxeval = 1e5))
fit <- function(formula, data = d, ...) {
  do.call(lmer, list(formula, data = data, control = control, ...))  # the call keeps the data
}
results <- list()
table_of <- function(t) lapply(as.data.frame(t), function(v) {
  if (is.factor(v)) as.character(v)
  else if (any(is.infinite(v))) as.character(v)  # JSON has no infinity
  else v
})
keep <- function(id, x, ...) {
  stopifnot(is.null(results[[id]]))
  results[[id]] <<- table_of(summary(x, ...))
}

# --- means ---------------------------------------------------------------------------------------
m <- fit(y ~ a * b + c + x + z + (1 | g))
keep("a", emmeans(m, "a")); keep("a kr", emmeans(m, "a", lmer.df = "kenward-roger"))
keep("a normal", emmeans(m, "a", lmer.df = "asymptotic"))
keep("b a", emmeans(m, ~ b * a)); keep("a by b", emmeans(m, ~ a | b)); keep("overall", emmeans(m, ~ 1))
keep("z", emmeans(m, "z")); keep("x z", emmeans(m, ~ x * z))
for (w in c("equal", "proportional", "outer", "cells", "flat"))
  keep(paste("weights", w), emmeans(m, "a", weights = w))
keep("weights own", emmeans(m, ~ a | b, weights = 1:8))
keep("at", emmeans(m, ~ x * c | b, at = list(x = c(-1, 2.5), c = c("top", "lo"), z = 4)))
keep("level", emmeans(m, "c"), level = .9)
keep("sum", emmeans(fit(y ~ a * b + x + (1 | g), contrasts = list(a = "contr.sum", b = "contr.sum")), ~ b | a))
keep("ordered", emmeans(fit(y ~ a * c + (1 | g), o), "c"))
keep("no intercept", emmeans(fit(y ~ 0 + c + x + (1 | g)), "c"))
keep("ml", emmeans(fit(y ~ a * b + c + x + z + (1 | g), REML = FALSE), "a"))
keep("slopes", emmeans(fit(y ~ a * x + (x | g)), "a", lmer.df = "kenward-roger"))
f <- fit(y ~ factor(k) * b + flag + x + (1 | g))
keep("coerced", emmeans(f, "k")); keep("coerced at", emmeans(f, ~ k | flag, at = list(k = c(1, 5))))
keep("coerced pairs", pairs(emmeans(f, "k"))); keep("flag", emmeans(f, "flag"))
keep("functions", emmeans(fit(y ~ a + log(p) + poly(x, 2) + I(z > 3) + (1 | g)), ~ a | p, at = list(p = c(1, 4))))
keep("offset", emmeans(fit(y ~ a + x + offset(o) + (1 | g)), "a"))
keep("offset function", emmeans(fit(y ~ a + x + offset(log(p)) + (1 | g)), "a"))

# --- contrasts -----------------------------------------------------------------------------------
e <- emmeans(m, "c")
for (method in c("pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "poly", "consec", "eff", "del.eff", "mean_chg")) {
  set.seed(1); keep(method, contrast(e, method), infer = TRUE)
}
keep("ref", contrast(e, "trt.vs.ctrl", ref = 2), infer = TRUE)
keep("refs", contrast(e, "trt.vs.ctrl", ref = c(1, 3)), infer = TRUE)
keep("own", contrast(e, list(ends = c(-1, 0, 0, 1), mean = c(.25, .25, .25, .25))), infer = TRUE)
for (adjust in c("none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "scheffe", "dunnettx", "mvt")) {
  set.seed(1); keep(paste("adjust", adjust), pairs(e, adjust = adjust), infer = TRUE)
  keep(paste("adjust normal", adjust), pairs(emmeans(m, "c", lmer.df = "asymptotic"), adjust = adjust), infer = TRUE)
}
keep("tukey of others", contrast(e, "consec", adjust = "tukey"), infer = TRUE)
keep("pairs by", pairs(emmeans(m, ~ a | b)), infer = TRUE)
keep("pairs other by", contrast(emmeans(m, ~ a | b), "pairwise", by = "a"), infer = TRUE)
keep("pairs of all", contrast(emmeans(m, ~ a | b), "pairwise", by = NULL), infer = TRUE)
keep("interaction", contrast(emmeans(m, ~ a * b), interaction = "pairwise"), infer = TRUE)
keep("interaction mixed", contrast(emmeans(m, ~ a * c | b), interaction = c("consec", "poly")), infer = TRUE)
keep("contrasts of contrasts", pairs(pairs(emmeans(m, ~ a | b)), by = "contrast"), infer = TRUE)
keep("numbers", pairs(emmeans(m, "x", at = list(x = c(0, 1.5)))), infer = TRUE)
keep("combined names", pairs(emmeans(m, ~ z * b, at = list(z = c(0, 4)))), infer = TRUE)
keep("test", emmeans(m, "c"), infer = c(FALSE, TRUE), null = 8)
keep("test left", pairs(e), infer = TRUE, side = "<", adjust = "sidak")
set.seed(1); keep("test right mvt", pairs(e), infer = c(FALSE, TRUE), side = ">", adjust = "mvt")
keep("test left tukey", pairs(e), infer = c(FALSE, TRUE), side = "<")
keep("equivalence", pairs(e, adjust = "none"), infer = c(FALSE, TRUE), delta = 1)
keep("noninferiority", pairs(e, adjust = "none"), infer = c(FALSE, TRUE), delta = .5, side = ">")
keep("nonsuperiority", pairs(e, adjust = "none"), infer = c(FALSE, TRUE), delta = .5, side = "<")

keep("comparisons bonferroni", emmeans(m, pairwise ~ c, adjust = "bonferroni")$contrasts, infer = TRUE)
keep("means bonferroni", emmeans(m, "c", adjust = "bonferroni"), infer = TRUE)
keep("infer means", e, infer = TRUE, null = 8, level = .9)
keep("infer left", pairs(e, adjust = "holm"), infer = TRUE, side = "<")
keep("infer equivalence", pairs(e, adjust = "bonferroni"), infer = TRUE, delta = 1)
keep("tukey", contrast(e, "tukey"), infer = TRUE); keep("dunnett", contrast(e, "dunnett"), infer = TRUE)
keep("simple a", pairs(emmeans(m, ~ a * b), simple = "a"), infer = TRUE)
keep("simple b", pairs(emmeans(m, ~ a | b), simple = "b"), infer = TRUE)
keep("named", contrast(emmeans(m, ~ a * b), list(d = c(-1, 0, 0, 0, 0, 1), e = c(0, 0, .5, -1, 0, .5))), infer = TRUE)
keep("sizes", eff_size(e, sigma = sigma(m), edf = 30)); keep("sizes two", eff_size(e, sigma = 2, edf = Inf))
keep("sizes by", eff_size(emmeans(m, ~ a | b), sigma = sigma(m), edf = 50, method = "consec"))

# --- trends --------------------------------------------------------------------------------------
h <- 1e-7
t1 <- fit(y ~ a * x + b * x + z + (1 | g))
keep("trend", emtrends(t1, ~ a | b, "x")); keep("trend pairs", pairs(emtrends(t1, "a", "x")), infer = TRUE)
keep("infer trends", emtrends(t1, "a", "x"), infer = TRUE)
t2 <- fit(y ~ a * poly(x, 2) + (1 | g))
keep("trend poly", emtrends(t2, ~ a | x, "x", at = list(x = c(0, 2)), delta.var = h))
t3 <- fit(y ~ a * log(p) + (1 | g))
keep("trend log", emtrends(t3, "a", "p", delta.var = h)); keep("trend of log", emtrends(t3, "a", "log(p)", delta.var = h))
keep("trend cubic", emtrends(fit(y ~ a + x + I(x^2) + I(x^3) + (1 | g)), ~ x, "x", at = list(x = c(-1, 0, 2)), delta.var = h))

# --- transformed responses -----------------------------------------------------------------------
for (r in c("log(q)", "log2(q)", "log10(q)", "log1p(q)", "sqrt(q)", "log(q + 1)")) {
  l <- fit(as.formula(paste(r, "~ a * b + x + (1 | g)")))
  keep(r, emmeans(l, "a", type = "response"))
  keep(paste(r, "link"), emmeans(l, "a"))
  keep(paste(r, "pairs"), pairs(emmeans(l, "a"), type = "response"), infer = TRUE)
}
keep("log infer", pairs(emmeans(fit(log(q) ~ a * b + x + (1 | g)), "a", type = "response")), infer = TRUE)
keep("log test", emmeans(fit(log(q) ~ a * b + x + (1 | g)), "a", type = "response"), infer = c(FALSE, TRUE), null = log(2))

# --- what cannot be estimated, and nesting -------------------------------------------------------
r <- fit(y ~ a * c + x + (1 | g), gap)
keep("gap", emmeans(r, ~ a * c)); keep("gap c", emmeans(r, "c")); keep("gap a", emmeans(r, "a"))
keep("gap cells", emmeans(r, "a", weights = "cells")); keep("gap pairs", pairs(emmeans(r, "a")), infer = TRUE)
keep("gap pairs holm", pairs(emmeans(r, ~ c | a), adjust = "holm"), infer = TRUE)
keep("gap pairs by", pairs(emmeans(r, ~ a | c)), infer = TRUE)
keep("gap interaction", contrast(emmeans(r, ~ a * c), interaction = "consec"))
s <- fit(y ~ region / site + a + x + (1 | g))
for (w in c("equal", "proportional", "outer", "cells", "flat")) {
  keep(paste("nested region", w), emmeans(s, "region", weights = w))
  keep(paste("nested a", w), emmeans(s, "a", weights = w))
}
keep("nested site", emmeans(s, "site")); keep("nested site by", emmeans(s, ~ site | region))
keep("nested site a", emmeans(s, ~ site * a)); keep("nested a by site", emmeans(s, ~ a | site))
keep("nested pairs", pairs(emmeans(s, "site")), infer = TRUE)
keep("nested pairs region", pairs(emmeans(s, "region")), infer = TRUE)
keep("nested revpairwise by", contrast(emmeans(s, ~ a | region), "revpairwise"), infer = TRUE)
s2 <- fit(y ~ site + a + (1 | g)); keep("site alone", emmeans(s2, "site"))
s3 <- fit(y ~ a + a:c + x + (1 | g)); keep("by term", emmeans(s3, "a")); keep("by term c", emmeans(s3, "c"))
s4 <- fit(y ~ region * a + region:site + (1 | g)); keep("nested crossed", emmeans(s4, ~ a | region))

# --- joint tests ---------------------------------------------------------------------------------
# emmeans rounds F and df; the F here is computed again, with the df of lmerTest and pbkrtest
joint <- list()
for (id in c("a * b + c + x + z", "a * x")) {
  model <- fit(as.formula(paste("y ~", id, "+ (1 | g)")))
  rg <- ref_grid(model, cov.reduce = meanint)
  tab <- joint_tests(model)
  for (term in as.character(tab[["model term"]])) {
    L <- contrast(emmeans(rg, strsplit(term, ":")[[1]]), interaction = "consec")@linfct
    colnames(L) <- colnames(rg@linfct)
    one <- contest(model, L, joint = TRUE)
    kr <- pbkrtest::KRmodcomp(model, L)$stats
    joint[[paste(id, "|", term)]] <- list(
      num_df = one$NumDF, f_value = one[["F value"]], satterthwaite = one$DenDF, p_value = one[["Pr(>F)"]],
      kr_f = kr$Fstat, kr_df = kr$ddf, kr_p = kr$p.value)
  }
  joint[[paste(id, "| terms")]] <- as.character(tab[["model term"]])
}
joint$by <- table_of(joint_tests(m, by = "b"))
joint$gap <- table_of(joint_tests(r))
joint$nested <- table_of(joint_tests(s))
joint$ordered <- table_of(joint_tests(fit(y ~ a * c + (1 | g), o)))
joint$proportional <- table_of(joint_tests(m, weights = "proportional"))
joint$test <- table_of(test(pairs(emmeans(m, ~ c | b)), joint = TRUE, by = "b"))
joint$test_means <- table_of(test(emmeans(m, "a"), joint = TRUE))

# --- the largest of several t statistics ---------------------------------------------------------
accurate <- mvtnorm::GenzBretz(maxpts = 2e6, abseps = 1e-6, releps = 0)
set.seed(1)
largest <- list()
for (k in 3:5) for (df in c(3, 45, 0)) for (t in c(1, 2.5, 3.5)) {
  C <- cbind(-diag(k - 1), 0) + cbind(0, diag(k - 1))
  R <- cov2cor(C %*% diag(seq(1, 2, length = k)) %*% t(C))
  largest[[length(largest) + 1]] <- list(k = k, df = df, t = t,
    both = 1 - mvtnorm::pmvt(rep(-t, k - 1), rep(t, k - 1), df = df, corr = R, algorithm = accurate)[1],
    right = 1 - mvtnorm::pmvt(rep(-Inf, k - 1), rep(t, k - 1), df = df, corr = R, algorithm = accurate)[1],
    negative = 1 - mvtnorm::pmvt(rep(-Inf, k - 1), rep(-t / 4, k - 1), df = df, corr = R, algorithm = accurate)[1])
}
tukey <- expand.grid(q = c(.5, 2, 3.5, 5), k = c(2, 3, 5, 10, 30), df = c(12, 40, 200, Inf))
tukey$tail <- ptukey(tukey$q, tukey$k, tukey$df, lower.tail = FALSE)

out <- gzfile("emmeans.json.gz", "w")
writeLines(toJSON(list(
  software = list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")),
    lmerTest = as.character(packageVersion("lmerTest")), emmeans = as.character(packageVersion("emmeans")),
    pbkrtest = as.character(packageVersion("pbkrtest")), mvtnorm = as.character(packageVersion("mvtnorm"))),
  data = as.list(d), results = results, joint = joint, largest = largest, tukey = tukey
), digits = I(17), na = "null", auto_unbox = TRUE, factor = "string"), out)
close(out)
