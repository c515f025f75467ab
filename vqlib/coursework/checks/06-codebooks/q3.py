from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_small(restart_worst):
    import numpy as np
    from vqlib.coursework import call, compare
    z = np.array([[1.0, 0.0], [0.0, 3.0], [10.0, -2.0], [14.0, 0.0], [9.0, 1.0]])
    codebook = np.array([[0.0, 0.0], [50.0, 50.0], [10.0, 0.0], [-50.0, 50.0]])
    counts, sums = (np.array([10.0, 0.5, 9.0, 0.5]), np.array([[0.0, 0.0], [25.0, 25.0], [90.0, 0.0], [-25.0, 25.0]]))
    answer = call(restart_worst, z, codebook, counts, sums, 0.2)
    if len(answer) != 3:
        raise AssertionError(f'There should be three arrays, codebook, counts and sums, but there are {len(answer)}.')

    def entries(first, second):
        return [[0.0, 0.0], first, [10.0, 0.0], second]
    mistakes = {'The farthest vector goes to the first code that is restarted.': entries([0.0, 3.0], [14.0, 0.0]), 'All went to the same vector. Each gets one of its own.': entries([14.0, 0.0], [14.0, 0.0]), 'Those are the vectors that are served best.': entries([1.0, 0.0], [9.0, 1.0]), 'Far from what? From its nearest codeword, not from the origin.': entries([14.0, 0.0], [10.0, -2.0]), 'Nothing was restarted. The threshold is a fraction of the mean count.': codebook}
    compare(answer[0], entries([14.0, 0.0], [0.0, 3.0]), 'the codebook', mistakes)
    mistakes = {'Codes, counts and sums start together. The counts are the old ones.': counts, 'A code that gets just the threshold is dead again at the next batch.': [10.0, 1.0, 9.0, 1.0]}
    compare(answer[1], [10.0, 2.0, 9.0, 2.0], 'the array of counts', mistakes)
    mistakes = {'Codes, counts and sums start together. The sums are the old ones, and the next step goes back there.': sums, 'Sum over count is to be the new entry. Here it is not.': [[0.0, 0.0], [14.0, 0.0], [90.0, 0.0], [0.0, 3.0]]}
    compare(answer[2], [[0.0, 0.0], [28.0, 0.0], [90.0, 0.0], [0.0, 6.0]], 'the array of sums', mistakes)
