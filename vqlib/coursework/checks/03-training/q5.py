from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_symptoms(symptoms):
    import numpy as np
    from vqlib.coursework import call, compare
    start = np.array([[0, 0], [2, 0], [0, 9], [9, 9], [5, -5]], float)
    end = np.array([[0, 0.5], [2, 0], [0, 9], [9, 8], [5, -5]])
    z = np.array([[0, 0], [0, 1], [2, 0], [2, 1], [9, 7]], float)
    answer = call(symptoms, {'start': start, 'end': end, 'z': z})
    if np.shape(answer) != (3,):
        raise AssertionError('symptoms should return three numbers.')
    mistakes = {'A codeword has moved if any of its entries has; count codewords.': 0.2, 'That is the share of those that stayed.': 0.6, 'A share is a part of 1.': 2}
    compare(answer[0], 0.4, 'the share that moved', mistakes)
    compare(answer[1], 0.6, 'the share in use', {'A share is a part of 1.': 3, 'That is the share of the others.': 0.4})
    mistakes = {'Where is the spread?': 0.25, 'The codebook is that at the end of training.': 0.066667, 'The mean is over the entries, not over the vectors.': 0.055556, 'The spread is around the mean of each entry, not around one mean of all.': 0.027293, 'The spread is a variance: it is around the mean of z.': 0.017857, 'The distance is squared, and the spread is a variance. No square root is needed.': 0.166667}
    compare(answer[2], 0.027778, 'the distance over the spread', mistakes, tolerance=0.0001)

@test_case(points=1, hidden=False)
def test_q5_patients(env):
    from vqlib.coursework import call
    for name, record in env['patients'].items():
        answer = call(env.get('diagnose'), record)
        if answer != name:
            raise AssertionError(f'Your {name} patient is found to be {answer!r}. Print the symptoms of all four: in which of them does this one differ from the others?')
