from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_small(weighted_codes):
    import numpy as np
    from vqlib.coursework import expect
    x = np.array([[2.0, 3.0], [-3.5, -4.0], [-1.0, 3.0], [1.5, -0.5], [1.5, 2.0]])
    codebook = np.array([[3.0, 0.0], [-2.0, -3.5], [3.5, 2.0]])
    weights = np.array([3.0, 1.0])
    mistakes = {'Does each entry count with its weight?': [2, 1, 2, 0, 2], 'Is each difference squared before it is weighted and summed?': [2, 1, 1, 0, 2], 'The minimum is over the codewords: one code for each vector, not one for each codeword.': [3, 1, 0], 'The weight is not squared: only the difference is.': [0, 1, 1, 0, 0], 'Multiply the square out once more: the weight belongs to the product of x and e, too.': [2, 1, 0, 0, 0]}
    expect(weighted_codes, (x, codebook, weights), [2, 1, 1, 0, 0], 'the array of codes', mistakes)

@test_case(points=0, hidden=False)
def test_q1_ratio(env):
    from vqlib.coursework import compare
    for name in ('gigabytes_differences', 'gigabytes_distances'):
        if env.get(name) in (None, ...):
            raise AssertionError(f'There is no value yet for {name}.')
    ratio = env['gigabytes_differences'] / env['gigabytes_distances']
    compare(ratio, float(env['D']), 'gigabytes_differences / gigabytes_distances')
