import { createHash } from 'node:crypto';

/**
 * Ed25519 (RFC 8032, 5.1) with a secret of any length, as MariaDB's authentication uses it: its password stands where the
 * RFC has 32 random bytes, which Node's own signatures insist on. Not in constant time: what is signed is a nonce, once
 * for each connection, on our own machine.
 */

const p = 2n ** 255n - 19n;
/** Order of the base point. */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;
const d = mod(-121665n * inverse(121666n));
const base: Point = fromAffine(
  15112221349535400772501151409588531511454012693041857206046113283949847762202n,
  46316835694926478169428394003475163141307993866256225615783033603165251855960n,
);

/** Extended homogeneous coordinates: x = X/Z, y = Y/Z, xy = T/Z. */
interface Point {
  x: bigint;
  y: bigint;
  z: bigint;
  t: bigint;
}

/** 64 bytes: R and S. */
export function signEd25519(secret: Buffer, message: Buffer): Buffer {
  const digest = sha512(secret);
  const scalar = clamp(digest.subarray(0, 32));
  const publicKey = encode(multiply(base, scalar));
  const nonce = number(sha512(digest.subarray(32), message)) % order;
  const r = encode(multiply(base, nonce));
  const challenge = number(sha512(r, publicKey, message)) % order;
  return Buffer.concat([r, bytes((nonce + challenge * scalar) % order)]);
}

function clamp(half: Buffer): bigint {
  const copy = Buffer.from(half);
  copy[0] = (copy[0] ?? 0) & 248;
  copy[31] = ((copy[31] ?? 0) & 127) | 64;
  return number(copy);
}

function multiply(point: Point, scalar: bigint): Point {
  let result: Point = { x: 0n, y: 1n, z: 1n, t: 0n };
  let power = point;
  for (let left = scalar; left > 0n; left >>= 1n) {
    if (left & 1n) result = add(result, power);
    power = add(power, power);
  }
  return result;
}

/** RFC 8032, 5.1.4. */
function add(left: Point, right: Point): Point {
  const a = mod((left.y - left.x) * (right.y - right.x));
  const b = mod((left.y + left.x) * (right.y + right.x));
  const c = mod(left.t * 2n * d * right.t);
  const e = mod(left.z * 2n * right.z);
  const [f, g, h, i] = [b - a, e - c, e + c, b + a];
  return { x: mod(f * g), y: mod(h * i), z: mod(g * h), t: mod(f * i) };
}

function fromAffine(x: bigint, y: bigint): Point {
  return { x, y, z: 1n, t: mod(x * y) };
}

/** y, with x's lowest bit as the highest one. */
function encode(point: Point): Buffer {
  const inverseZ = inverse(point.z);
  const result = bytes(mod(point.y * inverseZ));
  result[31] = (result[31] ?? 0) | (Number(mod(point.x * inverseZ) & 1n) << 7);
  return result;
}

function inverse(value: bigint): bigint {
  let result = 1n;
  let power = mod(value);
  for (let exponent = p - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = mod(result * power);
    power = mod(power * power);
  }
  return result;
}

function mod(value: bigint): bigint {
  const rest = value % p;
  return rest < 0n ? rest + p : rest;
}

function number(littleEndian: Buffer): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`);
}

function bytes(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
}

function sha512(...parts: Buffer[]): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
