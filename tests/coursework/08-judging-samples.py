# Answers to assignment 8 that are right in other words, or wrong, in place of the reference solution. The title of each
# names its question and the points that it has to get; `says` is what a failed check has to tell.
# ruff: noqa: F811, F821

# %% q1 4 of 4: eigenvalues of the product, and least squares by hand
def frechet(features, others):
    first, second = np.cov(features.T), np.cov(others.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    gap = np.linalg.norm(features.mean(axis=0) - others.mean(axis=0))
    return gap**2 + sum(np.diag(first)) + sum(np.diag(second)) - 2 * sum(roots)


def at_infinity(sizes, distances):
    columns = np.array([[1.0, 1 / n] for n in sizes])
    return float(np.linalg.lstsq(columns, np.asarray(distances), rcond=None)[0][0])


# %% q1 3 of 4: vqlib's own, which wants more images than features
# says: stopped with ValueError
def frechet(features, others):
    return evaluation.frechet_distance(features, others)


# %% q1 3 of 4: the last trace is taken once
# says: taken twice
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.trace(first) + np.trace(second) - np.sum(roots)


# %% q1 3 of 4: the traces of the covariances are forgotten
# says: traces of the two covariances
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0))
    return np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2) - 2 * np.sum(roots)


# %% q1 3 of 4: the product without its root
# says: root of the product is missing
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.trace(first) + np.trace(second) - 2 * np.trace(first @ second)


# %% q1 3 of 4: the roots of the entries
# says: roots of its entries
def frechet(features, others):
    first, second = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    with np.errstate(invalid="ignore"):
        return gap + np.trace(first) + np.trace(second) - 2 * np.trace(np.sqrt(first @ second))


# %% q1 3 of 4: one feature at a time, as in equation 8.2
# says: each feature by itself
def frechet(features, others):
    gap = np.sum((features.mean(axis=0) - others.mean(axis=0)) ** 2)
    return gap + np.sum((features.std(axis=0, ddof=1) - others.std(axis=0, ddof=1)) ** 2)


# %% q1 2 of 4: a line against N
# says: not against 1 / N
def at_infinity(sizes, distances):
    return np.polyfit(sizes, distances, 1)[1]


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q1 2 of 4: the slope in place of the end
# says: how steep
def at_infinity(sizes, distances):
    return np.polyfit(1 / sizes, distances, 1)[0]


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q1 3 of 4: a line through two of the points
# says: All of them count
def at_infinity(sizes, distances):
    n, m = np.argmin(sizes), np.argmax(sizes)
    return (distances[m] * sizes[m] - distances[n] * sizes[n]) / (sizes[m] - sizes[n])


ann_infinity, ben_infinity = at_infinity(ann_sizes, ann_distances), at_infinity(ben_sizes, ben_distances)


# %% q1 3 of 4: twice the distance in place of a tenth above it
# says: A tenth above it is much nearer
ann_enough, ben_enough = ann_slope / ann_infinity, ben_slope / ben_infinity


# %% q1 3 of 4: a tenth above the last measurement
# says: at the largest N, which still holds
ann_enough = ann_slope / (1.1 * ann_distances[2] - ann_infinity)


# %% q1 3 of 4: a tenth is taken for 0.1
# says: not 0.1
ann_enough = 10 * ann_slope


# %% q1 3 of 4: the distance at infinity over the slope
# says: upside down
ann_enough = 10 * ann_infinity / ann_slope


# %% q1 3 of 4: model and real rows overlap
# says: The first N rows are for the model
ann_distances = [np.mean([frechet(ann[rows[:n]], real[rows[:n]]) for rows in my_rows[n]]) for n in ann_sizes]


# %% q2 3 of 3: a loop over pairs; numbers in another order
def moved_distances(images, training_images):
    answer = np.zeros((len(images), len(training_images)))
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    height, width = images.shape[1:3]
    for n, m in np.ndindex(answer.shape):
        moved = [framed[n, r : r + height, c : c + width] for r in range(3) for c in range(3)]
        answer[n, m] = min(np.mean((training_images[m] - each) ** 2) for each in moved)
    return answer


my_threshold = 1.0
for n in range(150):
    others = [m for m in range(150) if m != n]
    my_threshold = min(my_threshold, np.min(among[n, others]) / 4)
accused = [n for n in range(40) if my_nearest[n] < my_threshold][::-1]


# %% q2 3 of 3: Keras operations, one move at a time
def moved_distances(images, training_images):
    framed, best = keras.ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=-0.5), None
    for r in range(3):
        for c in range(3):
            moved = framed[:, r : r + images.shape[1], c : c + images.shape[2]]
            errors = keras.ops.mean(keras.ops.square(moved[:, None] - training_images[None]), axis=(2, 3, 4))
            best = errors if best is None else keras.ops.minimum(best, errors)
    return best


# %% q2 1 of 3: distance without its square
# says: squared
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return np.min([np.mean(np.abs(x[:, None] - training_images), axis=(2, 3, 4)) for x in moved], axis=0)


# %% q2 1 of 3: not moved
# says: not moved
def moved_distances(images, training_images):
    return np.mean((images[:, None] - training_images) ** 2, axis=(2, 3, 4))


# %% q2 2 of 3: around the border, which no digit touches
# says: does not come back at the other
def moved_distances(images, training_images):
    moved = [np.roll(images, (r, c), axis=(1, 2)) for r in (-1, 0, 1) for c in (-1, 0, 1)]
    return np.min([np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved], axis=0)


# %% q2 1 of 3: zeros come in at the border
# says: Zero is grey
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return np.min([np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved], axis=0)


# %% q2 1 of 3: one move for all images
# says: best one of its own
def moved_distances(images, training_images):
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-0.5)
    moved = [framed[:, r : r + images.shape[1], c : c + images.shape[2]] for r in range(3) for c in range(3)]
    return min((np.mean((x[:, None] - training_images) ** 2, axis=(2, 3, 4)) for x in moved), key=np.sum)


# %% q2 2 of 3: the nearest sample of each training image
# says: the other way round
my_nearest = moved_distances(my_samples, my_training).min(axis=0)


# %% q2 2 of 3: each image is its own neighbour
# says: its own nearest neighbour
my_threshold = moved_distances(my_training, my_training).min() / 4
accused = np.flatnonzero(my_nearest < my_threshold)


# %% q2 2 of 3: half in place of a quarter
# says: half as far is a quarter
my_threshold = among.min() / 2


# %% q2 2 of 3: the honest ones
# says: honest
accused = np.flatnonzero(my_nearest >= my_threshold)


# %% q2 2 of 3: pixel by pixel, the thief goes free
# says: accused
accused = np.flatnonzero(evaluation.nearest_images(my_samples, my_training)[1][:, 0] / 784 < my_threshold)


# %% q3 3 of 3: loops
def density_and_coverage(samples, real, k):
    found, covered = 0, 0
    for i in range(len(real)):
        radius = sorted(np.linalg.norm(np.delete(real, i, axis=0) - real[i], axis=1))[k - 1]
        inside = np.linalg.norm(samples - real[i], axis=1) <= radius
        found, covered = found + inside.sum(), covered + inside.any()
    return [found / k / len(samples), covered / len(real)]


my_verdict = tuple(my_verdict)


# %% q3 0 of 3: each image is its own neighbour
# says: its own nearest neighbour
def density_and_coverage(samples, real, k):
    radii = np.sort(np.linalg.norm(real[:, None] - real, axis=-1), axis=1)[:, k - 1]
    inside = np.linalg.norm(samples[:, None] - real, axis=-1) <= radii
    return inside.sum() / (k * len(samples)), inside.any(axis=0).mean()


my_table = np.array([density_and_coverage(each, my_real, 3) for each in my_sets])


# %% q3 1 of 3: precision in place of density
# says: That is precision
def density_and_coverage(samples, real, k):
    radii = np.sort(np.linalg.norm(real[:, None] - real, axis=-1), axis=1)[:, k]
    inside = np.linalg.norm(samples[:, None] - real, axis=-1) <= radii
    return inside.any(axis=1).mean(), inside.any(axis=0).mean()


# %% q3 1 of 3: balls around the samples
# says: not around the samples
def density_and_coverage(samples, real, k):
    radii = np.sort(np.linalg.norm(samples[:, None] - samples, axis=-1), axis=1)[:, k, None]
    inside = np.linalg.norm(samples[:, None] - real, axis=-1) <= radii
    return inside.sum() / (k * len(samples)), inside.any(axis=0).mean()


# %% q3 2 of 3: not divided by k
# says: divided by k
def density_and_coverage(samples, real, k):
    radii = np.sort(np.linalg.norm(real[:, None] - real, axis=-1), axis=1)[:, k]
    inside = np.linalg.norm(samples[:, None] - real, axis=-1) <= radii
    return inside.sum() / len(samples), inside.any(axis=0).mean()


# %% q3 2 of 3: without the edge
# says: The edge of a ball
def density_and_coverage(samples, real, k):
    radii = np.sort(np.linalg.norm(real[:, None] - real, axis=-1), axis=1)[:, k]
    inside = np.linalg.norm(samples[:, None] - real, axis=-1) < radii
    return inside.sum() / (k * len(samples)), inside.any(axis=0).mean()


# %% q3 2 of 3: the parrot and the noise changed places
# says: Noise lies in few balls
my_verdict = [{"parrot": "noise", "noise": "parrot"}.get(word, word) for word in my_verdict]


# %% q3 2 of 3: a table turned over
# says: A row for each set
my_table = my_table.T


# %% q4 3 of 3: by hand, from errors
def bits_at(bits, psnr, mse):
    errors = [10 ** (-each / 10) for each in psnr]
    pairs = sorted(zip(errors, bits, strict=True))
    for n in range(1, len(pairs)):
        (low, more), (high, fewer) = pairs[n - 1], pairs[n]
        if low * (1 - 1e-12) <= mse <= high * (1 + 1e-12):
            share = (np.log10(mse) - np.log10(low)) / (np.log10(high) - np.log10(low))
            return 10 ** ((1 - share) * np.log10(more) + share * np.log10(fewer))
    return np.nan


# %% q4 1 of 3: bits without their logarithm
# says: in logarithms 800
def bits_at(bits, psnr, mse):
    order = np.argsort(psnr)
    return np.interp(-10 * np.log10(mse), psnr[order], bits[order], left=np.nan, right=np.nan)


# %% q4 1 of 3: the qualities as they come
# says: not
def bits_at(bits, psnr, mse):
    return np.exp(np.interp(-10 * np.log10(mse), psnr, np.log(bits), left=np.nan, right=np.nan))


# %% q4 1 of 3: the first quality that is good enough
# says: first quality that is good enough
def bits_at(bits, psnr, mse):
    return np.min(bits[psnr >= -10 * np.log10(mse) - 1e-9], initial=np.inf)


# %% q4 2 of 3: the ends go on for ever
# says: nobody knows
def bits_at(bits, psnr, mse):
    order = np.argsort(psnr)
    return np.exp(np.interp(-10 * np.log10(mse), psnr[order], np.log(bits[order])))


# %% q4 1 of 3: one line from the lowest to the highest quality
# says: from the lowest to the highest
def bits_at(bits, psnr, mse):
    low, high = np.argmin(psnr), np.argmax(psnr)
    share = (-10 * np.log10(mse) - psnr[low]) / (psnr[high] - psnr[low])
    return bits[low] ** (1 - share) * bits[high] ** share if 0 <= share <= 1 else np.nan


# %% q4 2 of 3: all bits in place of what the headers add
# says: not what the headers add
my_header = in_files


# %% q4 2 of 3: good enough, for my own
# says: my_jpeg
my_jpeg = np.min(my_points["JPEG"][0][my_points["JPEG"][1] >= -10 * np.log10(my_mse)])
