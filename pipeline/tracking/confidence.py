"""What a detector's scores mean for this camera: how many of a hundred boxes of a score are people.

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
"""The score itself counts as much as this many boxes of it."""
MOST_BOXES = 2000.0
"""Boxes remembered per score: beyond it, counts are halved, so that the confidence follows changes
such as of the light.
"""
BELIEVED = 0.9
"""The best common score keeps no more than this as confidence."""


class Confidence:
    """Learns from one camera's boxes, frame by frame; the memory is two numbers for every tenth of
    the scores.
    """

    def __init__(self) -> None:
        self._scores = (np.arange(N_BINS) + 0.5) / N_BINS
        self._seen = np.zeros(N_BINS)
        self._expected = np.zeros(N_BINS)
        self._share = self._scores

    def of(self, scores: Array) -> Array:
        """Probability that boxes with these scores (n,), 0..1, are people: (n,) float64."""
        return np.asarray(np.interp(scores, self._scores, self._share))

    def learn(self, scores: Array, expected: Array) -> None:
        """Take one frame's boxes: scores (n,), and whether a confirmed track expected them, (n,)
        bool.
        """
        bins = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)
        counts = np.bincount(bins + N_BINS * expected, minlength=2 * N_BINS)
        n_unexpected = counts[:N_BINS]
        n_expected = counts[N_BINS:]
        self._seen += n_unexpected + n_expected
        self._expected += n_expected
        if self._seen.max() > MOST_BOXES:
            full = self._seen > MOST_BOXES
            self._seen[full] /= 2
            self._expected[full] /= 2
        all_boxes = self._seen + FIRST_BOXES
        share = (self._expected + FIRST_BOXES * self._scores) / all_boxes
        common = self._seen >= self._seen.sum() / N_BINS
        best = int(np.argmax(share * common))
        lift = max(1.0, min(float(self._scores[best]), BELIEVED) / float(share[best]))
        self._share = np.minimum(share * (1 + (lift - 1) * self._seen / all_boxes), 1)
