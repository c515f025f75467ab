from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(patient_step):
    import numpy as np
    from vqlib.coursework import call, compare
    z = np.array([[2.0, 2.0], [4.0, 1.0], [-1.0, 1.0]])
    codebook = np.array([[0.5, 1.0], [4.0, 2.0], [6.0, 6.0]])
    counts, sums = (np.array([6.0, 1.0, 0.0]), np.array([[3.0, 6.0], [4.0, 2.0], [0.0, 0.0]]))
    answer = call(patient_step, z, codebook, counts, sums, 0.75, 1.0)
    if len(answer) != 3:
        raise AssertionError(f'There should be three arrays, codebook, counts and sums, but there are {len(answer)}.')
    mistakes = {'Decay is on the wrong side: it weighs what was remembered, not the batch.': [3.0, 1.0, 0.0], 'The distance is the squared one. Is each difference squared before the sum?': [4.75, 1.25, 0.0], 'The minimum is over the codewords: one code for each vector, not one for each codeword.': [4.5, 1.25, 0.25], 'Keep the counts without the free vector. It belongs to the division alone.': [6.0, 2.0, 1.0], 'That is the average of the batch added to the old count. What shrinks?': [6.5, 1.25, 0.0]}
    compare(answer[1], [5.0, 1.0, 0.0], 'the array of counts', mistakes)
    mistakes = {'Decay is on the wrong side: it weighs what was remembered, not the batch.': [[1.5, 3.75], [4, 1.25], [0, 0]], 'It is the sum of the vectors that chose a code, not their mean.': [[2.375, 4.875], [4.0, 1.75], [0.0, 0.0]], 'Keep the sums without the free vector. It belongs to the division alone.': [[3, 6.25], [8, 3.75], [6, 6]]}
    compare(answer[2], [[2.5, 5.25], [4.0, 1.75], [0.0, 0.0]], 'the array of sums', mistakes)
    mistakes = {'That is equation 6.4: the free vector lies at the origin, and an entry without vectors drifts there.': [[0.625, 1.3125], [3.0, 1.3125], [0.0, 0.0]], 'The free vector is in the count and not in the sum, so it lies at the origin.': [[2.5 / 6, 0.875], [2.0, 0.875], [0.0, 0.0]], '0 / 0: an entry that nobody ever chose has no mean. Where is the free vector?': [[0.5, 1.05], [4.0, 1.75], [np.nan, np.nan]], 'The sum is an average over batches, so its count is one too. Did you divide by the counts of this batch?': [[1.0, 6.25 / 3], [4.0, 1.875], [6.0, 6.0]], 'Sum and count have to be of the same moment. Did you divide by the old counts?': [[3.0 / 7, 6.25 / 7], [4.0, 1.875], [6.0, 6.0]]}
    compare(answer[0], [[0.5, 6.25 / 6], [4.0, 1.875], [6.0, 6.0]], 'the new codebook', mistakes)

@test_case(points=1, hidden=False)
def test_q2_loss(loss_left):
    import numpy as np
    from vqlib.coursework import compare, expect, probe
    z = np.array([[1.0, 2.0], [0.0, 1.0]], 'float32')
    codebook = np.array([[2.0, 2.0], [0.0, -1.0], [7.0, 5.0]], 'float32')
    mistakes = {'Where is beta?': 1.25, 'Those are both losses. One of them had the task that the averages have now.': 1.75, 'Is it a mean over the entries, or over the vectors?': 1.0, 'It is a mean, not a sum.': 2.0, 'Is each difference squared?': 0.3}
    expect(loss_left, (z, codebook, 0.4), 0.5, 'the loss that is left', mistakes)
    at_z, at_codebook, _ = probe('pullback', loss_left, 1.0, z, codebook, 0.4)
    stays = {'It should pull z to its codeword, and leaves it alone. What has to stand still?': 0 * z}
    compare(at_z, [[-0.2, 0.0], [0.0, 0.4]], 'the gradient on z', stays)
    arrives = {'It moves the codebook, which is the task of the averages.': [[0.2, 0.0], [0.0, -0.4], [0.0, 0.0]]}
    compare(at_codebook, 0 * codebook, 'the gradient on the codebook', arrives)
