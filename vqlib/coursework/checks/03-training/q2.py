from otter.test_files import test_case

OK_FORMAT = False

name = "q2"
points = None

@test_case(points=1, hidden=False)
def test_q2_small(kl_bits):
    import numpy as np
    from vqlib.coursework import expect
    q = np.array([[[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.25, 0.25, 0]]])
    prior = np.array([0.5, 0.25, 0.125, 0.125])
    mistakes = {'Those are nats. A bit is ln 2 of them.': 1.213008, 'Every position is paid for. Is it a mean?': 0.583333, 'It has the wrong sign.': -1.75, "That is what the codes cost. Where is the encoder's own entropy?": 4.25, "That is the encoder's entropy. Where is the prior?": 2.5, 'That is right for a uniform prior. Where is the one that is given?': 3.5, 'Which of the two weighs the logarithm? Here it is the wrong one.': np.inf, 'Zero times the logarithm of zero counts as zero.': np.nan}
    expect(kl_bits, (q, prior), 1.75, 'the KL term', mistakes)
