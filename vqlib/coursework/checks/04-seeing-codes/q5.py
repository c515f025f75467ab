from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_small(visited, snaps):
    import numpy as np
    from vqlib.coursework import expect
    codebook = np.array([[2.0, 1.0], [1.0, -3.0], [0.0, 0.0], [4.0, 0.5], [1.5, 2.6]])
    a, b = (np.array([0.0, -0.5]), np.array([4.2, 1.6]))
    t = np.linspace(0, 1, 201)
    line = (1 - t[:, None]) * a + t[:, None] * b
    distances = np.sum((line[:, None] - codebook) ** 2, axis=2)
    seen = np.argmin(distances, axis=1)
    mistakes = {'In which order do they come?': np.unique(seen), 'That is the code at each of many steps. Each code is wanted once.': seen, 'Only the two ends are there.': seen[[0, -1]], 'The minimum is over the codewords: one code for each place on the way.': np.argmin(distances, axis=0)}
    expect(visited, (a, b, codebook), [2, 0, 3], 'the array of visited codes', mistakes)
    exact = [2 / 7, 215 / 294]
    mistakes = {'These are steps at which you looked. The wall lies somewhere before.': t[1:][seen[1:] != seen[:-1]], 'That is the wall between the first codeword and the last. Is another one nearer there?': [335 / 714], 'Walls of the first codeword only, even where another one is nearer.': [2 / 7, 335 / 714, 387 / 784], 'It is the differences of squared distances that are straight lines in t. Is there a square?': [0.4745983, 0.5827143], 't runs from 0 at a to 1 at b.': [1 - exact[1], 1 - exact[0]]}
    expect(snaps, (a, b, codebook), exact, 'the array of t at which the code changes', mistakes)
