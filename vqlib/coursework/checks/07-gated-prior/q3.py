from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_bits(bits_by_class):
    import numpy as np
    from vqlib.coursework import expect
    p = np.array([[[[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]], [[[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]]]])
    logits = np.log(np.stack([p, p[::-1]], axis=1)) + 3.0
    codes = np.array([[[0, 0]], [[1, 1]]])
    expected = np.array([[4.0, 4.0], [2.0, 5.0]])
    mistakes = {'Those are nats: with the natural logarithm. In bits, it is that to the base 2.': expected * np.log(2), 'That is the mean over the codes of a grid. What does the whole grid cost?': expected / 2, 'A logit is no logarithm of a probability yet: what do the probabilities of all codes add up to?': expected - 6 / np.log(2), 'Bits are not below zero.': -expected, 'A row for each grid, a column for each class.': expected.T}
    expect(bits_by_class, (logits, codes), expected, 'the array of bits', mistakes)

@test_case(points=1, hidden=False)
def test_q3_class(most_likely):
    import numpy as np
    from vqlib.coursework import expect
    bits, shares = (np.array([[7.5, 9.0, 5.5], [5.0, 4.5, 5.5], [9.0, 5.0, 7.5]]), np.array([0.6, 0.3, 0.1]))
    mistakes = {'The shares change nothing. A share is a probability: what does it add to a number of bits?': [2, 1, 1], 'That is the most frequent class, whatever the grid costs.': [0, 0, 0], 'The class that makes a grid dear is the unlikely one.': [1, 2, 0], 'The class that makes a grid dear is the unlikely one, and the shares count.': [1, 2, 2], 'One class for each grid, not one grid for each class.': [1, 1, 0], 'A rare class should be less likely, not more.': [2, 2, 1], 'A share is multiplied with a probability, not with bits.': [2, 2, 2], 'This adds two logarithms of different bases.': [2, 0, 1]}
    expect(most_likely, (bits, shares), [0, 0, 1], 'the array of classes', mistakes)

@test_case(points=0, hidden=False)
def test_q3_untold(untold_bits):
    import numpy as np
    from vqlib.coursework import expect
    bits, shares = (np.array([[2.0, 3.0], [5.0, 4.0]]), np.array([0.75, 0.25]))
    expected = np.array([2.1926451, 4.6780719])
    mistakes = {'That is the mean of the bits. The mean is over the probabilities.': [2.25, 4.75], 'Every class counts as equally frequent. Where are the shares?': [2.4150375, 4.4150375], 'That is the sum of the probabilities. Where are the shares?': [1.4150375, 3.4150375], 'That is what the cheapest class costs. Nobody has named it.': [2.0, 4.0], 'That is what the likeliest class alone gives. The others may give this grid, too.': [2.4150375, 5.4150375], 'Those are nats: with the natural logarithm.': expected * np.log(2), 'That is the probability. How many bits does it cost?': 2 ** (-expected)}
    expect(untold_bits, (bits, shares), expected, 'the array of bits', mistakes)
