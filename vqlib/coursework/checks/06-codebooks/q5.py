from otter.test_files import test_case

OK_FORMAT = False

name = "q5"
points = None

@test_case(points=1, hidden=False)
def test_q5_small(paired_difference):
    from vqlib.coursework import expect
    table = [('a', 2, 30.0), ('a', 0, 10.0), ('b', 0, 12.0), ('c', 0, 99.0), ('a', 1, 20.0), ('b', 2, 33.0), ('b', 1, 24.0), ('b', 3, 91.0)]
    rows = [{'method': method, 'seed': seed, 'beta': 25.0, 'test_mse': mse, 'test_perplexity': 8.0} for method, seed, mse in table]
    mistakes = {'It is second minus first.': [-3.0, 1.0], 'With n - 1 in the spread: a mean was taken off that comes from the same numbers.': [3.0, 0.8164966], 'That is the error of the mean. The spread is that of the differences.': [3.0, 0.5773503], 'The mean is right. Are the rows paired by seed, or by the order in which they come?': [3.0, 20.5182845], 'The mean is right. Take differences first, then their spread: not two spreads together.': [3.0, 14.5258391], 'A seed that only one of the two has is no pair.': [20.0, 36.469165]}
    expect(paired_difference, (rows, 'a', 'b', 'test_mse'), [3.0, 1.0], 'the pair (mean, spread)', mistakes)
