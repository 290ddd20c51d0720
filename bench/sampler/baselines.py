"""The selection methods that gleaner is measured against, and the head that judges all of them.

Every method is a function (x [n, d], y [n], n_classes, budgets, seed) -> the pool's rows in the order chosen. It sees y only of what it has
already chosen: each budget is one round, as for gleaner. They start without labels; a method that needs a classifier draws at random
until two classes have labels, as its authors do. The classifier of margin, BADGE and Cluster-Margin is the head itself.

CoreSet, TypiClust, BADGE and margin come from scikit-activeml at its defaults; CoreSet and BADGE above the sizes in SKACTIVEML_UP_TO
from here, the same algorithms, because scikit-activeml's then take most of a run. Cluster-Margin and centroid k-means are not in it.

| method | what | source |
|---|---|---|
| random | uniform | |
| k-center | the farthest from all chosen | Sener and Savarese 2018 (CoreSet) |
| typiclust | the densest of each largest cluster without a label | Hacohen et al. 2022 |
| centroid | as typiclust, the closest to the centroid | |
| margin | smallest difference of the two best probabilities | Scheffer et al. 2001 |
| badge | k-means++ on gradient embeddings | Ash et al. 2020 |
| cluster-margin | the smallest margins, in turn from clusters of average linkage | Citovsky et al. 2021 |
"""

import warnings

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.svm import SVC

VERSION = 1  # raise it when a method changes: results are cached by it
GAMMA, C = 1.0, 10.0
# Pools up to which scikit-activeml's own code is used.
SKACTIVEML_UP_TO = {"k-center": 1200, "badge": 1200, "typiclust": 20000, "margin": 20000}


def kernel(a, b):
    """exp(-gamma |a - b|^2) of normalised rows."""
    squared = np.maximum(0.0, 2.0 - 2.0 * (a @ b.T))
    return np.exp(-GAMMA * squared).astype(np.float64)


class Head(ClassifierMixin, BaseEstimator):
    """The RBF SVM on normalised embeddings that all methods are judged by.

    Probabilities, for the methods that want them: a sigmoid of slope 1.5 on every pair's decision value (fitting it needs more
    labels than there are), coupled as Price et al. 1994 do.
    """

    def fit(self, X, y):  # scikit-activeml looks at the names
        self.x_ = np.asarray(X, np.float32)
        self.svm_ = SVC(kernel="precomputed", C=C, class_weight="balanced", decision_function_shape="ovo")
        self.svm_.fit(kernel(self.x_, self.x_), y)
        self.classes_ = self.svm_.classes_
        return self

    def predict(self, X):
        return self.svm_.predict(kernel(np.asarray(X, np.float32), self.x_))

    def predict_proba(self, X):
        decision = self.svm_.decision_function(kernel(np.asarray(X, np.float32), self.x_))
        k = len(self.classes_)
        if k == 2:
            decision = -decision.reshape(-1, 1)  # scikit-learn turns the sign of two classes
        sum_of_inverse = np.zeros((len(X), k))
        pair = 0
        for i in range(k):
            for j in range(i + 1, k):
                e = np.exp(-np.clip(1.5 * decision[:, pair], -30, 30))
                sum_of_inverse[:, i] += 1.0 + e
                sum_of_inverse[:, j] += 1.0 + 1.0 / e
                pair += 1
        p = 1.0 / (sum_of_inverse - (k - 2))
        return p / p.sum(axis=1, keepdims=True)


def rounds(n, budgets):
    done = 0
    for budget in budgets:
        size = min(budget, n) - done
        if size > 0:
            yield size
            done += size


def free_of(n, chosen):
    free = np.ones(n, bool)
    free[chosen] = False
    return np.flatnonzero(free)


def random_choice(x, y, n_classes, budgets, seed):
    return np.random.default_rng(seed).permutation(len(x))[:max(budgets)].tolist()


# ---- methods without a classifier ------------------------------------------------------------------------------------------


def k_center(x, y, n_classes, budgets, seed):
    if len(x) <= SKACTIVEML_UP_TO["k-center"]:
        from skactiveml.pool import CoreSet
        return skactiveml_rounds(lambda: CoreSet(random_state=seed), x, y, budgets)
    chosen = [int(np.random.default_rng(seed).integers(len(x)))]
    most_similar = x @ x[chosen[0]]
    for _ in range(min(max(budgets), len(x)) - 1):
        most_similar[chosen[-1]] = np.inf
        chosen.append(int(np.argmin(most_similar)))
        np.maximum(most_similar, x @ x[chosen[-1]], out=most_similar)
    return chosen


def typiclust(x, y, n_classes, budgets, seed):
    from skactiveml.pool import TypiClust
    return skactiveml_rounds(lambda: TypiClust(random_state=seed), x, y, budgets)


def centroid(x, y, n_classes, budgets, seed):
    chosen = []
    for size in rounds(len(x), budgets):
        k = len(chosen) + size
        means = KMeans(n_clusters=k, random_state=seed).fit(x)
        squared = np.sum((x - means.cluster_centers_[means.labels_]) ** 2, axis=1)
        covered = set(means.labels_[chosen].tolist())
        by_size = np.argsort(-np.bincount(means.labels_, minlength=k), kind="stable")
        picked = []
        for cluster in [c for c in by_size if c not in covered][:size]:
            members = np.flatnonzero(means.labels_ == cluster)
            if len(members) > 0:
                picked.append(int(members[np.argmin(squared[members])]))
        chosen += picked
        if len(picked) < size:  # empty clusters (equal rows)
            chosen += np.random.default_rng(seed).permutation(free_of(len(x), chosen))[:size - len(picked)].tolist()
    return chosen


# ---- methods with a classifier ---------------------------------------------------------------------------------------------


def with_head(choose, x, y, budgets, seed):
    """Random while fewer than two classes have labels, then choose(free rows, their probabilities, size)."""
    rng, chosen = np.random.default_rng(seed), []
    for size in rounds(len(x), budgets):
        free = free_of(len(x), chosen)
        if len(set(y[chosen].tolist())) < 2:
            chosen += rng.permutation(free)[:size].tolist()
            continue
        probability = Head().fit(x[chosen], y[chosen]).predict_proba(x[free])
        chosen += [int(i) for i in choose(free, probability, size, rng)]
    return chosen


def margins(probability):
    best = np.partition(probability, -2, axis=1)
    return best[:, -1] - best[:, -2]


def margin(x, y, n_classes, budgets, seed):
    from skactiveml.pool import UncertaintySampling
    return skactiveml_rounds(lambda: UncertaintySampling(method="margin_sampling", random_state=seed), x, y, budgets, n_classes, seed)


def badge(x, y, n_classes, budgets, seed):
    if len(x) <= SKACTIVEML_UP_TO["badge"]:
        from skactiveml.pool import Badge
        return skactiveml_rounds(lambda: Badge(random_state=seed), x, y, budgets, n_classes, seed)

    def choose(free, probability, size, rng):
        # The gradient embedding is the outer product of (p - one-hot of the prediction) and x: its inner products are products.
        a = probability - np.eye(probability.shape[1])[probability.argmax(axis=1)]
        features = x[free]
        norm_sq = np.sum(a ** 2, axis=1) * np.sum(features ** 2, axis=1)
        squared, picked = norm_sq.copy(), [int(np.argmax(norm_sq))]
        for step in range(1, size):
            last = picked[-1]
            to_last = norm_sq + norm_sq[last] - 2.0 * (a @ a[last]) * (features @ features[last])
            squared = np.maximum(0.0, to_last if step == 1 else np.minimum(squared, to_last))
            squared[picked] = 0.0
            total = squared.sum()
            weights = squared / total if total > 0 else None
            picked.append(int(rng.choice(len(free), p=weights)))
        return free[picked]

    return with_head(choose, x, y, budgets, seed)


def cluster_margin(x, y, n_classes, budgets, seed):
    """Ten candidates for each image wanted, clusters of ten images on average: proportions of our own choice."""
    cluster = average_linkage_clusters(x, max(1, len(x) // 10))

    def choose(free, probability, size, rng):
        candidates = free[np.argsort(margins(probability), kind="stable")[:10 * size]]
        members = {}
        for i in candidates:
            members.setdefault(int(cluster[i]), []).append(int(i))
        for rows in members.values():
            rng.shuffle(rows)
        ordered, picked = sorted(members.values(), key=len), []
        while len(picked) < size:
            for rows in ordered:  # smallest clusters first, in turn
                if rows and len(picked) < size:
                    picked.append(rows.pop())
        return picked

    return with_head(choose, x, y, budgets, seed)


_linkage = {}


def average_linkage_clusters(x, k):
    key = (x.ctypes.data, x.shape, float(x[0, 0]), float(x[-1, -1]))
    if key not in _linkage:  # once a pool, for all seeds
        _linkage.clear()
        similarity = x @ x.T
        distance = np.concatenate([similarity[i, i + 1:] for i in range(len(x))]).astype(np.float64)
        _linkage[key] = linkage(np.sqrt(np.maximum(0.0, 2.0 - 2.0 * distance)), "average")
    return fcluster(_linkage[key], k, "maxclust")


# ---- scikit-activeml -------------------------------------------------------------------------------------------------------


def skactiveml_rounds(make, x, y, budgets, n_classes=None, seed=None):
    """Rounds of one of its strategies; with n_classes it takes the head as its classifier."""
    from skactiveml.classifier import SklearnClassifier
    known, chosen = np.full(len(x), np.nan), []
    strategy = make()
    for size in rounds(len(x), budgets):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if n_classes is None:
                picked = strategy.query(x, known, batch_size=size)
            elif len(np.unique(y[chosen])) < 2:
                picked = np.random.default_rng([seed, len(chosen)]).permutation(free_of(len(x), chosen))[:size]
            else:
                head = SklearnClassifier(Head(), classes=list(range(n_classes)))
                picked = strategy.query(x, known, clf=head, batch_size=size)
        chosen += [int(i) for i in picked]
        known[chosen] = y[chosen]
    return chosen


METHODS = {
    "random": random_choice,
    "k-center": k_center,
    "typiclust": typiclust,
    "centroid": centroid,
    "margin": margin,
    "badge": badge,
    "cluster-margin": cluster_margin,
}


def origin(method, n):
    """Whose code ran, for the tables."""
    if method in SKACTIVEML_UP_TO:
        return "scikit-activeml" if n <= SKACTIVEML_UP_TO[method] else "here (scikit-activeml's is too slow at this size)"
    return "here"
