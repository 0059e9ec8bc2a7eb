"""What a detector's scores mean here: how many in a hundred boxes of a score are people.

A score of 0.3 says little by itself: on seven sets of boxes, 6 to 69 % of those scored 0.1 to 0.2
are people, and 24 to 97 % of those scored 0.5 to 0.6. But people stay, and false alarms mostly do
not: the share of boxes that fall where a confirmed track expected one comes close to the share that
are people, without any truth. So a tracker counts that share for every score, and uses it instead
of the score. At first, scores are taken at their word.

Where following is hard, because the camera swings or frames are few, nothing is expected, whatever
it is. Believing that would be the end: without belief no track starts, and without tracks nothing
is expected. So the best score that is common keeps its word at least, and the shares of all others
are lifted with it.
"""

import numpy as np

from pipeline.records import Array

N_BINS = 10
FIRST_BOXES = 10.0
"""Boxes of a score that the score's own word counts for."""
MOST_BOXES = 2000.0
"""What is remembered of a score: beyond it everything before counts half, so that the meaning may
change with the light.
"""
BELIEVED = 0.9
"""So much of its word the best common score keeps at most."""


class Confidence:
    """Learns from one camera's boxes, frame by frame; the memory is two numbers for every tenth of
    the scores.
    """

    def __init__(self) -> None:
        self._scores = (np.arange(N_BINS) + 0.5) / N_BINS
        self._seen, self._expected = np.zeros(N_BINS), np.zeros(N_BINS)
        self._share = self._scores

    def of(self, scores: Array) -> Array:
        """Probability that boxes with these scores (n,), 0..1, are people: (n,) float64."""
        return np.asarray(np.interp(scores, self._scores, self._share))

    def learn(self, scores: Array, expected: Array) -> None:
        """Take one frame's boxes: scores (n,), and whether a confirmed track expected them, (n,)
        bool.
        """
        bins = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)
        surprises, hits = np.bincount(bins + N_BINS * expected, minlength=2 * N_BINS).reshape(
            2, N_BINS
        )
        self._seen += surprises + hits
        self._expected += hits
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
