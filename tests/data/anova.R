# Makes anova.json: tables of lmerTest and pbkrtest for models of twoway.csv that are unbalanced,
# nested, without intercept, rank deficient, or have empty cells. Run in this folder.
suppressMessages({library(lmerTest); library(jsonlite)})

data <- function(name) {
  d <- read.csv("twoway.csv", stringsAsFactors = FALSE)
  i <- seq_len(nrow(d)) - 1
  d$C <- c("u", "v", "w")[(7 * i + i %/% 5) %% 3 + 1]
  d$x <- ((37 * i) %% 87) / 10 - 4
  d$z <- ((53 * i) %% 89) / 8
  d$w <- 1 + (i %% 4) / 2
  d$x2 <- 2 * d$x - 1
  d$xs <- as.numeric(scale(d$x))
  for (v in c("A", "B", "C", "g")) d[[v]] <- factor(d[[v]])
  switch(name,
    all = d,
    empty = droplevels(d[!(d$A == "1" & d$B == "3"), ]),
    holes = droplevels(d[!(d$B == "2" & d$C == "u") & !(d$B == "3" & d$C == "w"), ]))
}

sum3 <- list(A = "contr.sum", B = "contr.helmert", C = "contr.poly")
models <- list(
  list("all", "y ~ A * B + (1 | g)"),
  list("all", "y ~ A * B * C + (1 | g)"),
  list("all", "y ~ A * B * C + (1 | g)", sum3),
  list("all", "y ~ A * B + A:C + (1 | g)"),
  list("all", "y ~ 0 + B + x + (1 | g)"),
  list("all", "y ~ 0 + B * x + (1 | g)"),
  list("all", "y ~ 0 + A * B + (1 | g)"),
  list("all", "y ~ B * x + (1 | g)"),
  list("all", "y ~ A * B * x + z + (x | g)"),
  list("all", "y ~ B * poly(x, 2) + (1 | g)"),
  list("all", "y ~ B * poly(x, 2) + A + (1 | g)", list(A = "contr.sum", B = "contr.sum")),
  list("all", "y ~ A * B + x + (1 | g)", NULL, TRUE),
  list("all", "y ~ B * C + (1 | g)", list(B = "contr.sum"), TRUE),
  list("all", "y ~ x + x2 + A * B + (1 | g)"),
  list("all", "y ~ A + x:B + (1 | g)"),
  list("all", "y ~ A:B + (1 | g)"),
  list("all", "y ~ A + A:B + (1 | g)"),
  list("all", "y ~ B + (1 | g)"),
  list("all", "y ~ x * z * A + (1 | g)"),
  list("all", "y ~ scale(x) * A + (1 | g)"),
  list("all", "y ~ xs * A + (1 | g)"),
  list("all", "y ~ A * (x + I(x^2)) + (1 | g)"),
  list("empty", "y ~ A * B + (1 | g)"),
  list("empty", "y ~ A * B + (1 | g)", list(A = "contr.sum", B = "contr.sum")),
  list("holes", "y ~ A * B * C + (1 | g)"),
  list("holes", "y ~ B * C + A + (1 | g)", list(B = "contr.sum", C = "contr.helmert")),
  list("holes", "y ~ B * C * x + A + (1 | g)"))

tight <- lmerControl(optCtrl = list(xtol_abs = 1e-13, ftol_abs = 1e-13))
again <- lmerControl("nlminbwrap", optCtrl = list(rel.tol = 1e-15, x.tol = 1e-12))
fit <- function(f, d, weights, contrasts) {
  d$weights <- weights
  first <- lmer(f, d, weights = weights, contrasts = contrasts, control = tight)
  lmer(f, d, weights = weights, contrasts = contrasts, control = again,
       start = getME(first, "theta"))
}
table <- function(m, type, ddf) {
  a <- anova(m, type = type, ddf = ddf)
  data.frame(term = rownames(a), sum_sq = a[["Sum Sq"]], num_df = a$NumDF, den_df = a$DenDF,
             f_value = a[["F value"]])
}
fits <- lapply(models, function(k) {
  contrasts <- if (length(k) > 2) k[[3]]
  weighted <- length(k) > 3
  d <- data(k[[1]])
  m <- fit(as.formula(k[[2]]), d, if (weighted) d$w else rep(1, nrow(d)), contrasts)
  list(data = k[[1]], formula = k[[2]], contrasts = contrasts, weighted = weighted,
       satterthwaite = lapply(1:3, function(t) table(m, t, "Satterthwaite")),
       # pbkrtest ignores weights
       `kenward-roger` = if (!weighted) lapply(1:3, function(t) table(m, t, "Kenward-Roger")))
})
write(toJSON(fits, digits = 12, auto_unbox = TRUE, null = "null", na = "null"), "anova.json")
