// From pixels of a picture to metres on the floor, by points that are known in both.

import { mean } from "./parts.js";

/** Return the matrix (9 numbers, row by row) that maps pixels to metres, or null where the points that are known do not tell it.
 *
 * The normalised direct linear transform: both planes are centred and scaled, and the matrix is the one that leaves the
 * least algebraic error, which is the eigenvector of the smallest eigenvalue. Points are [x, y, metres x, metres y].
 */
export function matrixOf(points) {
  const sure = knownPoints(points);
  if (sure.length < 4) return null;
  const pixels = normaliser(sure);
  const metres = normaliser(sure.map(([, , x, y]) => [x, y]));
  if (!pixels || !metres) return null;
  const square = Array.from({ length: 9 }, () => new Array(9).fill(0));
  for (const [px, py, mx, my] of sure) {
    const [x, y] = project(pixels, px, py);
    const [u, v] = project(metres, mx, my);
    const rows = [
      [x, y, 1, 0, 0, 0, -u * x, -u * y, -u],
      [0, 0, 0, x, y, 1, -v * x, -v * y, -v],
    ];
    for (const row of rows) {
      for (let i = 0; i < 9; i += 1) for (let k = 0; k < 9; k += 1) square[i][k] += row[i] * row[k];
    }
  }
  const { values, vectors } = eigen(square);
  const order = values.map((_, at) => at).sort((a, b) => values[a] - values[b]);
  if (values[order[1]] < 1e-9 * values[order[8]]) return null;
  const level = vectors.map((row) => row[order[0]]);
  const matrix = product(inverse(metres), product(level, pixels));
  const found = matrix.map((each) => each / matrix[8]);
  const sides = sure.map(([x, y]) => Math.sign(found[6] * x + found[7] * y + 1));
  return found.every(Number.isFinite) && sides.every((side) => side === sides[0]) ? found : null;
}

/** Return the points whose place on the floor is known, as numbers. */
export function knownPoints(points) {
  return points.filter((point) => point.every((each) => each !== "" && Number.isFinite(Number(each)))).map((point) => point.map(Number));
}

/** Return how far a point is off, in pixels of the picture and in metres on the floor. */
export function errorOf(matrix, [x, y, metresX, metresY]) {
  const [floorX, floorY] = project(matrix, x, y);
  const [pictureX, pictureY] = project(inverse(matrix), metresX, metresY);
  return [Math.hypot(pictureX - x, pictureY - y), Math.hypot(floorX - metresX, floorY - metresY)];
}

/** Map a point by a matrix. */
export function project(m, x, y) {
  const w = m[6] * x + m[7] * y + m[8];
  return [(m[0] * x + m[1] * y + m[2]) / w, (m[3] * x + m[4] * y + m[5]) / w];
}

/** Return the inverse of a matrix. */
export function inverse([a, b, c, d, e, f, g, h, i]) {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const adjugate = [e * i - f * h, c * h - b * i, b * f - c * e, f * g - d * i, a * i - c * g, c * d - a * f, d * h - e * g, b * g - a * h, a * e - b * d];
  return adjugate.map((each) => each / determinant);
}

function product(a, b) {
  return a.map((_, at) => [0, 1, 2].reduce((sum, k) => sum + a[3 * Math.floor(at / 3) + k] * b[3 * k + (at % 3)], 0));
}

/** The matrix that moves the middle of points to the origin, and makes them the square root of 2 away on average. */
function normaliser(points) {
  const [x, y] = [0, 1].map((axis) => mean(points.map((point) => point[axis])));
  const distance = mean(points.map((point) => Math.hypot(point[0] - x, point[1] - y)));
  if (!(distance > 0)) return null;
  const scale = Math.SQRT2 / distance;
  return [scale, 0, -scale * x, 0, scale, -scale * y, 0, 0, 1];
}

/** Eigenvalues of a symmetric matrix, and its eigenvectors in columns, by Jacobi's rotations. */
function eigen(symmetric) {
  const n = symmetric.length;
  const a = symmetric.map((row) => [...row]);
  const vectors = a.map((_, i) => a.map((__, k) => Number(i === k)));
  for (let sweep = 0; sweep < 60; sweep += 1) {
    for (let p = 0; p < n; p += 1) {
      for (let q = p + 1; q < n; q += 1) rotate(a, vectors, p, q);
    }
  }
  return { values: a.map((row, i) => row[i]), vectors };
}

function rotate(a, vectors, p, q) {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const tangent = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(tangent, 1);
  const sine = tangent * cosine;
  const turn = (row) => {
    const [first, second] = [row[p], row[q]];
    row[p] = cosine * first - sine * second;
    row[q] = sine * first + cosine * second;
  };
  a.forEach(turn);
  const [rowP, rowQ] = [a[p], a[q]];
  a[p] = rowP.map((value, k) => cosine * value - sine * rowQ[k]);
  a[q] = rowQ.map((value, k) => sine * rowP[k] + cosine * value);
  vectors.forEach(turn);
}
