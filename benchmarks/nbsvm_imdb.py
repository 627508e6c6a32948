"""NBSVM on words and pairs of words of the IMDB reviews that fusionbench reads: a known number, .9122, to be met.

    r  = log( (p / |p|_1) / (q / |q|_1) )     p, q: 1 + in how many positive and negative reviews an n-gram stands, (V,)
    w  = linear SVM on x * r                  x (n, V): 1 where a review holds the n-gram; squared hinge, L2, C = 1
    w' = 0.25 w + 0.75 mean|w|                y = sign(w' . (x * r))

Trained on the 25,000 official training reviews, validation rows among them, tested on the other 25,000. Every constant
is that of the paper and of its authors' file (sidaw/nbsvm, src/master.m: C = 1, a = 1, beta = 0.25, no bias); nothing
is chosen here, so test rows choose nothing. Words are those of the dataset's own bag (`imdb_features.WORDS`), which are
not the authors' tokens.

    python benchmarks/nbsvm_imdb.py --data DIR      minutes on one core, 1.2 GB of memory

Source: Wang & Manning 2012, "Baselines and Bigrams", ACL: 91.22 % for NBSVM with bigrams on IMDB.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

from fusionbench.core.errors import UserError
from fusionbench.data.imdb_features import WORDS, log_ratios
from fusionbench.data.imdb_files import FOLDER, bring, cleaned, read_reviews
from fusionbench.data.store import data_root

C, BETA, PUBLISHED = 1.0, 0.25, 0.9122


def nbsvm(held: Any, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """What each n-gram adds to the score of a review that holds it, w' * r (V,): CSR (n, V) of zeros and ones, (n,)."""
    ratios = log_ratios(held, targets).astype(float)
    svm = LinearSVC(C=C, loss="squared_hinge", fit_intercept=False, random_state=0, max_iter=10_000)
    weights = svm.fit(held.multiply(ratios).tocsr(), targets).coef_[0]
    return ratios * (BETA * weights + (1 - BETA) * np.abs(weights).mean())


def main() -> None:
    """Read, train, test, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", help=f"the data folder: holds {FOLDER}, or is where it is downloaded to")
    folder = data_root(options.parse_args().data) / FOLDER
    bring(folder)
    reviews = read_reviews(folder)
    is_test, targets = np.array(reviews.is_test), np.array(reviews.targets)
    texts = [cleaned(text) for text in reviews.texts]
    learned, tested = ([texts[row] for row in np.flatnonzero(is_test == part)] for part in (False, True))
    counter = CountVectorizer(binary=True, ngram_range=(1, 2), token_pattern=WORDS)
    train = counter.fit_transform(learned)
    scores = counter.transform(tested) @ nbsvm(train, targets[~is_test])
    accuracy = float(((scores > 0) == targets[is_test]).mean())
    print(
        f"{train.shape[0]:,} reviews, {train.shape[1]:,} n-grams; test accuracy {accuracy:.4f}, published {PUBLISHED}"
    )


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
