"""Calibrate a detector's scores for one camera: the share of boxes of a score that are people.

A score of 0.3 says little by itself: on seven sets of boxes, 6 to 69 % of those scored 0.1 to 0.2
are people, and 24 to 97 % of those scored 0.5 to 0.6. But people stay, and false positives mostly
do not: the share of boxes that fall where a confirmed track expected one comes close to the share
that are people, without any truth. So a tracker counts that share for every score, and uses it
instead of the score. At first, the scores themselves are used.

Where tracking is hard, because the camera moves or frames are few, no box is expected, whatever it
shows. Low confidence would then be final: no track starts, and without tracks no box is expected.
So the best of the common scores keeps at least its own value as confidence, and the shares of all
others are raised with it.
"""

import numpy as np

from pipeline.records import Array

N_BINS = 10
FIRST_BOXES = 10.0
"""The score itself weighs as much as this many boxes."""
MOST_BOXES = 2000.0
"""Boxes counted per bin: above it, both counts of the bin are halved, so the confidence follows
changes, such as of the light.
"""
BELIEVED = 0.9
"""Upper limit of the confidence that the best common score keeps at least."""


class Confidence:
    """Learns from one camera's boxes, frame by frame; keeps two counts per bin of scores."""

    def __init__(self) -> None:
        self._scores = (np.arange(N_BINS) + 0.5) / N_BINS
        self._seen = np.zeros(N_BINS)
        self._expected = np.zeros(N_BINS)
        self._share = self._scores

    def of(self, scores: Array) -> Array:
        """Return the probability that boxes are people.

        Args:
            scores: scores of the boxes, (n,), 0..1.

        Returns:
            Probabilities, (n,) float64, 0..1.
        """
        return np.asarray(np.interp(scores, self._scores, self._share))

    def learn(self, scores: Array, expected: Array) -> None:
        """Learn from one frame's boxes.

        Args:
            scores: scores of the boxes, (n,), 0..1.
            expected: whether a confirmed track expected each box, (n,) bool.
        """
        self._count(scores, expected)
        n_boxes = self._seen + FIRST_BOXES
        n_people = self._expected + FIRST_BOXES * self._scores
        share = n_people / n_boxes
        self._share = self._raised(share, n_boxes)

    def _count(self, scores: Array, expected: Array) -> None:
        all_bins = (scores * N_BINS).astype(np.int64)
        bins = np.minimum(all_bins, N_BINS - 1)
        counts = np.bincount(bins + N_BINS * expected, minlength=2 * N_BINS)
        n_unexpected = counts[:N_BINS]
        n_expected = counts[N_BINS:]
        self._seen += n_unexpected + n_expected
        self._expected += n_expected
        if self._seen.max() > MOST_BOXES:
            is_full = self._seen > MOST_BOXES
            self._seen[is_full] /= 2
            self._expected[is_full] /= 2

    def _raised(self, share: Array, n_boxes: Array) -> Array:
        """Raise all shares so that the best common score keeps its own value as confidence."""
        is_common = self._seen >= self._seen.sum() / N_BINS
        best = int(np.argmax(share * is_common))
        wanted = min(float(self._scores[best]), BELIEVED)
        lift = max(1.0, wanted / float(share[best]))
        factor = 1 + (lift - 1) * self._seen / n_boxes
        return np.minimum(share * factor, 1)
