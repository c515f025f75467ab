from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_three_networks(forbidden_pairs):
    from functools import partial
    import numpy as np
    from vqlib.coursework import call, compare, probe
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(6, 6, 4, 4)) * np.tril(np.ones((6, 6)), -1)[:, :, None, None]
    centre = honest + rng.normal(size=(6, 6, 4, 4)) * np.eye(6)[:, :, None, None]
    peeks, codes, order = (honest.copy(), np.array([[2, 0, 1], [3, 1, 0]]), np.arange(6).reshape(2, 3))
    peeks[1, 4, 3], peeks[0, 2, 1] = rng.normal(size=(2, 4))
    judge = partial(probe, 'call_with_network', forbidden_pairs)
    counts = [call(judge, table, codes, 4, order) for table in (honest, centre, peeks)]
    mistakes = {'A code that sees itself is as bad as one that sees the future.': [0, 0, 2], 'A network may peek for some codes only. Was every other code tried?': [0, 6, 1], 'Pairs in which j is written before i are legal; they should not count.': [15, 21, 17], 'Which of the two is changed, and which one watched?': [15, 21, 15], 'A pair counts once, however many codes show it.': [0, 18, 4], 'A pair counts once, however many of its logits move.': [0, 24, 8], 'How many pairs, not only whether there are any.': [0, 1, 1]}
    compare(counts, [0.0, 6, 2], 'the list of counts for an honest network and two others', mistakes)
