from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(vital_signs):
    import numpy as np
    from vqlib.coursework import call, compare
    log = np.array([[4, 0, 0], [2, 2, 0], [0, 2, 2], [0, 0, 4], [0, 4, 0]])
    signs = call(vital_signs, log, 2)
    if len(signs) != 2:
        raise AssertionError(f'There should be two arrays, perplexity and dead codes, but there are {len(signs)}.')
    mistakes = {'Two to the power of nats mixes two bases.': [1.4766571, 2.0558298, 1.4766571, 1.6168066], 'e to the power of bits mixes two bases.': [2.2507834, 4.4816891, 2.2507834, 2.7182818], 'That is the entropy. Perplexity is a number of codes.': [0.5623351, 1.0397208, 0.5623351, 0.6931472], 'That is the entropy, in bits. Perplexity is a number of codes.': [0.8112781, 1.5, 0.8112781, 1.0], 'Each batch has its perplexity, and you took their mean. Count over the whole window first.': [1.5, 2, 1.5, 1], 'That is the perplexity of each batch. Count over the whole window.': [1.0, 2.0, 2.0, 1.0, 1.0], 'A code that is never chosen adds nothing to the entropy.': [np.nan, 2.8284271, np.nan, np.nan], 'Each window begins one batch after the one before, not behind its end.': [1.7547654, 1.7547654]}
    expected = [1.7547654, 2.8284271, 1.7547654, 2.0]
    compare(signs[0], expected, 'the array of perplexities', mistakes, tolerance=0.0001)
    mistakes = {'Those are the codes in use. How many are not?': [2.0, 3.0, 2.0, 2.0], 'A code is dead only if no batch of the window chose it.': [2.0, 2.0, 2.0, 3.0]}
    compare(np.asarray(signs[1], 'float64'), [1.0, 0.0, 1.0, 1.0], 'the array of numbers of dead codes', mistakes)
