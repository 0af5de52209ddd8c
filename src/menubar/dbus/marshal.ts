// D-Bus values to bytes and back. 64-bit integers are bigint, `ay` is a Uint8Array, a dictionary is an array
// of pairs, a struct an array, a variant `{ signature, value }`; other values are numbers, strings, booleans
// and arrays.
import { MountaineerError } from "../../runtime/errors.ts";
import { alignmentOf, type DbusType, parseSignature } from "./type-signature.ts";

export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** Size of each number type, which is also its alignment, and its name in a DataView. */
const NUMBERS = {
  y: [1, "Uint8"],
  n: [2, "Int16"],
  q: [2, "Uint16"],
  i: [4, "Int32"],
  u: [4, "Uint32"],
  h: [4, "Uint32"],
  x: [8, "BigInt64"],
  t: [8, "BigUint64"],
  d: [8, "Float64"],
} as const;

type NumberCode = keyof typeof NUMBERS;

const DEEPEST = 64;

export function variant(signature: string, value: unknown): Variant {
  return { signature, value };
}

/** Little-endian, aligned as at the start of a message's body. Throws `internal` for a value of another type. */
export function marshal(signature: string, values: readonly unknown[]): Buffer {
  const types = parseSignature(signature);
  const writer: Writer = { bytes: Buffer.alloc(256), length: 0 };
  types.forEach((type, index) => {
    write(writer, type, values[index]);
  });
  return writer.bytes.subarray(0, writer.length);
}

interface BytesOf {
  readonly bytes: Buffer;
  readonly littleEndian: boolean;
  /** Position of the first byte; alignment counts from 0. */
  readonly offset?: number;
}

/**
 * Returns the values and `end`, the position after the last value. Throws `protocol` if the bytes do not match the
 * signature.
 */
export function unmarshal(signature: string, { bytes, littleEndian, offset = 0 }: BytesOf) {
  const reader: Reader = { bytes, littleEndian, at: offset };
  const values = parseSignature(signature).map((type) => read(reader, type, 0));
  return { values, end: reader.at };
}

interface Writer {
  bytes: Buffer;
  length: number;
}

function reserve(writer: Writer, size: number, alignment: number): number {
  const at = Math.ceil(writer.length / alignment) * alignment;
  const needed = at + size;
  if (needed > writer.bytes.length) {
    // `alloc` fills with zeros, which the protocol requires as padding.
    const larger = Buffer.alloc(Math.max(needed, writer.bytes.length * 2));
    writer.bytes.copy(larger, 0, 0, writer.length);
    writer.bytes = larger;
  }
  writer.length = needed;
  return at;
}

function write(writer: Writer, type: DbusType, value: unknown): void {
  switch (type.code) {
    case "b": {
      if (typeof value !== "boolean") throw unfit(type.code, value);
      const at = reserve(writer, 4, 4);
      writer.bytes.writeUInt32LE(value ? 1 : 0, at);
      return;
    }
    case "s":
    case "o":
      writeText(writer, asText(type, value));
      return;
    case "g":
      writeSignature(writer, asText(type, value));
      return;
    case "v": {
      const { signature, value: inner } = asVariant(value);
      const [single, ...more] = parseSignature(signature);
      if (single === undefined || more.length > 0) throw unfit(type.code, value);
      writeSignature(writer, signature);
      write(writer, single, inner);
      return;
    }
    case "a":
      writeArray(writer, type.of, value);
      return;
    case "r":
    case "e": {
      if (!Array.isArray(value) || value.length !== type.fields.length) throw unfit(type.code, value);
      reserve(writer, 0, 8);
      type.fields.forEach((field, index) => {
        write(writer, field, value[index]);
      });
      return;
    }
    default:
      writeNumber(writer, type.code, value);
  }
}

function writeNumber(writer: Writer, code: NumberCode, value: unknown): void {
  const [size, method] = NUMBERS[code];
  const at = reserve(writer, size, size);
  const { buffer, byteOffset } = writer.bytes;
  const view = new DataView(buffer, byteOffset);
  if (method === "BigInt64" || method === "BigUint64") {
    if (typeof value !== "bigint") throw unfit(code, value);
    view[`set${method}`](at, value, true);
  } else {
    if (typeof value !== "number") throw unfit(code, value);
    view[`set${method}`](at, value, true);
  }
}

function writeText(writer: Writer, text: string): void {
  // The bus disconnects a sender of a NUL or of half a character.
  const bytes = Buffer.from(text.toWellFormed().replaceAll("\0", "\ufffd"));
  const at = reserve(writer, 4 + bytes.length + 1, 4);
  writer.bytes.writeUInt32LE(bytes.length, at);
  bytes.copy(writer.bytes, at + 4);
}

function writeSignature(writer: Writer, signature: string): void {
  const at = reserve(writer, signature.length + 2, 1);
  writer.bytes.writeUInt8(signature.length, at);
  writer.bytes.write(signature, at + 1, "latin1");
}

function writeArray(writer: Writer, element: DbusType, value: unknown): void {
  const lengthAt = reserve(writer, 4, 4);
  // The padding before the first element is not counted in the length, and even an empty array has it.
  const begin = reserve(writer, 0, alignmentOf(element));
  if (value instanceof Uint8Array) {
    const at = reserve(writer, value.length, 1);
    writer.bytes.set(value, at);
  } else {
    if (!Array.isArray(value)) throw unfit(`a${element.code}`, value);
    for (const one of value) write(writer, element, one);
  }
  writer.bytes.writeUInt32LE(writer.length - begin, lengthAt);
}

function asText({ code }: DbusType, value: unknown): string {
  if (typeof value !== "string") throw unfit(code, value);
  return value;
}

function asVariant(value: unknown): Variant {
  if (typeof value === "object" && value !== null && "signature" in value && "value" in value) {
    if (typeof value.signature === "string") return { signature: value.signature, value: value.value };
  }
  throw unfit("v", value);
}

function unfit(signature: string, value: unknown): MountaineerError {
  return new MountaineerError("internal", `${String(value)} is not of the D-Bus type ${signature}`);
}

interface Reader {
  readonly bytes: Buffer;
  readonly littleEndian: boolean;
  at: number;
}

function take(reader: Reader, size: number, alignment: number): number {
  const at = Math.ceil(reader.at / alignment) * alignment;
  if (at + size > reader.bytes.length) throw malformed("it ends too early");
  reader.at = at + size;
  return at;
}

function read(reader: Reader, type: DbusType, depth: number): unknown {
  if (depth > DEEPEST) throw malformed("it is nested too deeply");
  const { bytes } = reader;
  switch (type.code) {
    case "b":
      return readLength(reader) !== 0;
    case "s":
    case "o": {
      const length = readLength(reader);
      const at = take(reader, length + 1, 1);
      return bytes.toString("utf8", at, at + length);
    }
    case "g":
      return readSignature(reader);
    case "v": {
      const signature = readSignature(reader);
      const [single, ...more] = parseSignature(signature);
      if (single === undefined || more.length > 0) throw malformed("a variant holds one value");
      return { signature, value: read(reader, single, depth + 1) };
    }
    case "a":
      return readArray(reader, type.of, depth);
    case "r":
    case "e":
      take(reader, 0, 8);
      return type.fields.map((field) => read(reader, field, depth + 1));
    default:
      return readNumber(reader, type.code);
  }
}

function readNumber(reader: Reader, code: NumberCode): number | bigint {
  const [size, method] = NUMBERS[code];
  const { buffer, byteOffset } = reader.bytes;
  const at = take(reader, size, size);
  return new DataView(buffer, byteOffset)[`get${method}`](at, reader.littleEndian);
}

function readLength(reader: Reader): number {
  const at = take(reader, 4, 4);
  return reader.littleEndian ? reader.bytes.readUInt32LE(at) : reader.bytes.readUInt32BE(at);
}

function readSignature(reader: Reader): string {
  const length = reader.bytes.readUInt8(take(reader, 1, 1));
  const at = take(reader, length + 1, 1);
  return reader.bytes.toString("latin1", at, at + length);
}

function readArray(reader: Reader, element: DbusType, depth: number): unknown {
  const length = readLength(reader);
  const begin = take(reader, 0, alignmentOf(element));
  const end = begin + length;
  if (end > reader.bytes.length) throw malformed("an array ends too early");
  if (element.code === "y") {
    reader.at = end;
    return new Uint8Array(reader.bytes.subarray(begin, end));
  }
  const values: unknown[] = [];
  while (reader.at < end) values.push(read(reader, element, depth + 1));
  if (reader.at !== end) throw malformed("an array's length is wrong");
  return values;
}

export function malformed(why: string): MountaineerError {
  return new MountaineerError("protocol", `a D-Bus message cannot be read: ${why}`);
}
