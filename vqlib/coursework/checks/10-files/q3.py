from otter.test_files import test_case

OK_FORMAT = False

name = "q3"
points = None

@test_case(points=1, hidden=False)
def test_q3_risk(at_risk):
    import numpy as np
    from vqlib.coursework import expect
    logits = np.array([[0.0, 1.0], [0.76, 0.0], [0.0, -0.2], [0.24, 5.5], [-0.7505, 9.0], [0.245, 7.0]])
    expected = [False, True, False, True, True, True]
    mistakes = {'Borders lie in the middle between multiples of the step: where rounding changes.': [True, True, True, True, True, True], 'A border has two sides.': [False, True, False, False, False, False], 'Those are the positions without risk.': np.logical_not(expected), 'One logit is enough.': np.zeros(6, bool), 'delta is in logits, and not in steps.': [False, False, False, False, True, True]}
    expect(at_risk, (logits, 0.5, 0.0125, 0), expected, 'the array of risks', mistakes)
    moved = {'The shift moves the borders by sixteenths of a step.': expected}
    what = 'the array of risks with a shift of 4'
    expect(at_risk, (logits, 0.5, 0.0125, 4), [False] * 6, what, moved)
    expect(at_risk, (logits - 0.125, 0.5, 0.0125, 4), expected, what)
