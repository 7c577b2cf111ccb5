"""The fit of bench/forecast.sh in plain Python: numpy for the sums, scipy for
gammaln and the optimiser.

    forecast.py make CUSTOMERS FILE   simulates customers of known parameters
    forecast.py fit FILE              fits BG/NBD, prints seconds and parameters
"""
import sys
import time

import numpy
from scipy.optimize import minimize
from scipy.special import gammaln

R, ALPHA, A, B = 0.25, 4.5, 0.8, 2.4


def make(customers, name):
    """Frequency, recency and age in weeks, to the second, one customer a line."""
    random = numpy.random.default_rng(42)
    rate = random.gamma(R, 1 / ALPHA, customers)
    leaves = random.beta(A, B, customers)
    age = random.uniform(26, 104, customers)
    frequency = numpy.zeros(customers)
    recency = numpy.zeros(customers)
    now = numpy.zeros(customers)
    there = numpy.arange(customers)
    while there.size:
        now[there] += random.exponential(size=there.size) / numpy.maximum(rate[there], 1e-300)
        there = there[now[there] < age[there]]
        frequency[there] += 1
        recency[there] = now[there]
        there = there[random.uniform(size=there.size) > leaves[there]]
    second = 1 / (7 * 86400)
    recency = numpy.round(recency / second) * second
    age = numpy.maximum(numpy.round(age / second) * second, recency)
    numpy.savetxt(name, numpy.column_stack([frequency, recency, age]), fmt=["%d", "%.17g", "%.17g"], delimiter=",")


def negative_log_likelihood(logs, frequency, recency, age):
    r, alpha, a, b = numpy.exp(logs)
    common = (gammaln(r + frequency) - gammaln(r) + r * numpy.log(alpha)
              + gammaln(a + b) + gammaln(b + frequency) - gammaln(b) - gammaln(a + b + frequency))
    stays = -(r + frequency) * numpy.log(alpha + age)
    left = numpy.where(frequency > 0,
                       numpy.log(a) - numpy.log(b + numpy.maximum(frequency, 1) - 1)
                       - (r + frequency) * numpy.log(alpha + recency),
                       -numpy.inf)
    return -numpy.mean(common + numpy.logaddexp(stays, left))


def fit(name):
    frequency, recency, age = numpy.loadtxt(name, delimiter=",", unpack=True)
    start = time.perf_counter()
    scale = age.mean()
    found = minimize(negative_log_likelihood, numpy.zeros(4), (frequency, recency / scale, age / scale),
                     method="L-BFGS-B", options={"ftol": 1e-13, "gtol": 1e-7})
    r, alpha, a, b = numpy.exp(found.x)
    print("%.2f %.4f %.4f %.4f %.4f" % (time.perf_counter() - start, r, alpha * scale, a, b))


if sys.argv[1] == "make":
    make(int(sys.argv[2]), sys.argv[3])
else:
    fit(sys.argv[2])
