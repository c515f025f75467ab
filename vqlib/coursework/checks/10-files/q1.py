from otter.test_files import test_case

OK_FORMAT = False

name = "q1"
points = None

@test_case(points=1, hidden=False)
def test_q1_bits(bits_learning):
    import numpy as np
    from vqlib.coursework import expect
    symbols, bits = (np.array([2, 0, 2, 2, 1]), -np.log2([1 / 3, 1 / 4, 2 / 5, 3 / 6, 1 / 7]))
    mistakes = {'The table holds the very symbol that is to be written. The decoder cannot know it yet.': -np.sum(np.log2([2 / 4, 2 / 5, 3 / 6, 4 / 7, 2 / 8])), 'Those are the shares in the whole sequence, which the decoder does not know before its end.': -np.sum(np.log2(np.array([3, 1, 3, 3, 1]) / 5)), 'The table never learns.': 5 * np.log2(3), 'Those are nats: with the natural logarithm.': np.sum(bits) * np.log(2), 'That is the mean of a symbol. What does the whole sequence cost?': np.mean(bits), 'It has the wrong sign.': -np.sum(bits), 'That is the width of the interval. How many bits is that?': 2.0 ** (-np.sum(bits)), 'That counts whole bits for each symbol. An arithmetic coder rounds once, at the end.': np.sum(np.ceil(bits))}
    expect(bits_learning, (symbols, 3), np.sum(bits), 'the cost of five symbols', mistakes)

@test_case(points=1, hidden=False)
def test_q1_read(read_learning):
    from vqlib.coursework import expect
    mistakes = {'The table never learns.': [0, 1, 1, 0], 'The first digit behind the point counts a half, the second a quarter.': [1, 1, 0, 0], 'That is in the wrong order.': [1, 0, 1, 0]}
    expect(read_learning, ([0, 1, 1, 0, 1], 2, 4), [0, 1, 0, 1], 'the list of symbols in 0.01101', mistakes)
    beginning = {'A part has its beginning, but not its end.': [0, 1, 1]}
    expect(read_learning, ([1], 2, 3), [1, 0, 0], 'the list of symbols in 0.1', beginning)
