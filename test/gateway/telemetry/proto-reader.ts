// Reads a .proto file (the part of proto3 that OpenTelemetry's use), and by it what a sender wrote: protobuf's wire format
// and its JSON mapping. Strict where receivers are lenient: an unknown field, or one of another type, is an error.
import { readFileSync } from "node:fs";

interface Field {
  readonly name: string;
  readonly type: string;
  readonly number: number;
  readonly isList: boolean;
  /** At most one of those with the same name may be there. */
  readonly oneOf: string | null;
}

interface Definition {
  /** null: an enum. */
  readonly fields: readonly Field[] | null;
  /** Of an enum. */
  readonly numbers: ReadonlySet<number>;
}

export type Decoded = Readonly<Record<string, unknown>>;

export interface ProtoReader {
  fromWire(message: string, bytes: Uint8Array): Decoded;
  /** Throws for what the definitions do not have. */
  checkJson(message: string, value: unknown): void;
}

export function readProtoFile(file: string): ProtoReader {
  const definitions = new Map<string, Definition>();
  readDefinitions(readFileSync(file, "utf8"), file, definitions);
  return {
    fromWire: (message, bytes) => new WireReader(definitions).message(message, bytes),
    checkJson: (message, value) => checkJson(definitions, message, value, message),
  };
}

const TOKEN = /"[^"]*"|[\w.]+|[^\s\w]/gu;

function readDefinitions(text: string, file: string, definitions: Map<string, Definition>): void {
  const tokens = text.replace(/\/\/.*$/gmu, "").match(TOKEN) ?? [];
  let at = 0;
  const next = (): string => {
    const token = tokens[at++];
    if (token === undefined) throw new Error(`${file} ends too early`);
    return token;
  };
  /** To the end of a statement, or of the block that it opens. */
  const skip = (): void => {
    for (let depth = 0; ; ) {
      const token = next();
      if (token === "{") depth += 1;
      else if (token === "}") depth -= 1;
      if (depth === 0 && (token === ";" || token === "}")) return;
    }
  };
  const block = (scope: string, read: (token: string) => void): void => {
    if (next() !== "{") throw new Error(`${file}: ${scope} has no block`);
    for (let token = next(); token !== "}"; token = next()) if (token !== ";") read(token);
  };
  const readEnum = (scope: string): void => {
    const name = `${scope}.${next()}`;
    const numbers = new Set<number>();
    block(name, (token) => {
      if (token !== "reserved" && token !== "option") {
        next();
        numbers.add(Number(next()));
      }
      skip();
    });
    definitions.set(name, { fields: null, numbers });
  };
  const readMessage = (scope: string): void => {
    const name = `${scope}.${next()}`;
    const fields: Field[] = [];
    const field = (first: string, oneOf: string | null): void => {
      const isLabelled = first === "repeated" || first === "optional";
      const type = isLabelled ? next() : first;
      const [called, , number] = [next(), next(), next()];
      fields.push({
        name: called.replace(/_(?<letter>.)/gu, (_, letter: string) => letter.toUpperCase()),
        type,
        number: Number(number),
        isList: first === "repeated",
        oneOf,
      });
      skip();
    };
    block(name, (token) => {
      if (token === "message") readMessage(name);
      else if (token === "enum") readEnum(name);
      else if (token === "reserved" || token === "option") skip();
      else if (token === "oneof") {
        const group = next();
        block(group, (inner) => field(inner, group));
      } else field(token, null);
    });
    definitions.set(name, { fields, numbers: new Set() });
  };
  let scope = "";
  while (at < tokens.length) {
    const token = next();
    if (token === "package") scope = next();
    else if (token === "message") readMessage(scope);
    else if (token === "enum") readEnum(scope);
    if (token !== "message" && token !== "enum") skip();
  }
}

/** A type as it is written within a scope, from the inside out. */
function resolve(
  definitions: ReadonlyMap<string, Definition>,
  scope: string,
  type: string,
): [string, Definition] {
  for (let at = scope; ; at = at.slice(0, Math.max(0, at.lastIndexOf(".")))) {
    const name = at === "" ? type : `${at}.${type}`;
    const found = definitions.get(name);
    if (found !== undefined) return [name, found];
    if (at === "") throw new Error(`nothing defines ${type}`);
  }
}

const WIRE_TYPES: Readonly<Record<string, number>> = {
  bool: 0,
  int32: 0,
  int64: 0,
  uint32: 0,
  uint64: 0,
  sint64: 0,
  fixed64: 1,
  sfixed64: 1,
  double: 1,
  string: 2,
  bytes: 2,
  fixed32: 5,
};

class WireReader {
  readonly #definitions: ReadonlyMap<string, Definition>;

  constructor(definitions: ReadonlyMap<string, Definition>) {
    this.#definitions = definitions;
  }

  message(name: string, bytes: Uint8Array): Decoded {
    const { fields } = this.#definitions.get(name) ?? { fields: null };
    if (fields === null) throw new Error(`${name} is no message`);
    const cursor = { at: 0, bytes: Buffer.from(bytes) };
    const decoded: Record<string, unknown> = {};
    for (const { name: each, isList } of fields) if (isList) decoded[each] = [];
    const groups = new Set<string>();
    while (cursor.at < bytes.length) {
      const tag = Number(varint(cursor));
      const field = fields.find(({ number }) => number === tag >>> 3);
      if (field === undefined) throw new Error(`${name} has no field ${tag >>> 3}`);
      if (field.oneOf !== null) {
        if (groups.has(field.oneOf)) throw new Error(`${name} has more than one ${field.oneOf}`);
        groups.add(field.oneOf);
      }
      this.#field(name, field, tag & 7, cursor, decoded);
    }
    return decoded;
  }

  #field(scope: string, field: Field, wireType: number, cursor: Cursor, decoded: Record<string, unknown>) {
    const scalar = WIRE_TYPES[field.type];
    const [type, definition] =
      scalar === undefined ? resolve(this.#definitions, scope, field.type) : [field.type, null];
    const isMessage = definition !== null && definition.fields !== null;
    const wanted = isMessage ? 2 : (scalar ?? 0);
    const isPacked = field.isList && wanted !== 2;
    if (wireType !== (isPacked ? 2 : wanted))
      throw new Error(`${scope}.${field.name} is written as wire type ${wireType}`);
    const read = (from: Cursor): unknown =>
      isMessage ? this.message(type, withLength(from)) : scalarFrom(from, type, definition);
    const list = decoded[field.name];
    if (!field.isList) decoded[field.name] = read(cursor);
    else if (Array.isArray(list)) {
      if (!isPacked) list.push(read(cursor));
      else {
        const inner = { at: 0, bytes: withLength(cursor) };
        while (inner.at < inner.bytes.length) list.push(read(inner));
      }
    }
  }
}

interface Cursor {
  at: number;
  readonly bytes: Buffer;
}

function varint(cursor: Cursor): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = cursor.bytes[cursor.at++];
    if (byte === undefined) throw new Error("a number is cut off");
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asUintN(64, value);
  }
  throw new Error("a number is too long");
}

function withLength(cursor: Cursor): Buffer {
  const length = Number(varint(cursor));
  const bytes = cursor.bytes.subarray(cursor.at, cursor.at + length);
  if (bytes.length < length) throw new Error("a field is cut off");
  cursor.at += length;
  return bytes;
}

/** As the JSON mapping spells it; bytes as OTLP does, in hexadecimal. */
function scalarFrom(cursor: Cursor, type: string, definition: Definition | null): unknown {
  if (definition !== null) {
    const number = Number(varint(cursor));
    if (!definition.numbers.has(number)) throw new Error(`${type} has no ${number}`);
    return number;
  }
  if (type === "string") return new TextDecoder("utf-8", { fatal: true }).decode(withLength(cursor));
  if (type === "bytes") return withLength(cursor).toString("hex");
  if (type === "bool") return varint(cursor) !== 0n;
  if (type === "uint32" || type === "int32") return Number(BigInt.asIntN(32, varint(cursor)));
  if (type === "int64") return String(BigInt.asIntN(64, varint(cursor)));
  const { at, bytes } = cursor;
  if (type === "fixed32") {
    cursor.at += 4;
    return bytes.readUInt32LE(at);
  }
  cursor.at += 8;
  if (type === "double") return bytes.readDoubleLE(at);
  return String(type === "sfixed64" ? bytes.readBigInt64LE(at) : bytes.readBigUInt64LE(at));
}

function checkJson(
  definitions: ReadonlyMap<string, Definition>,
  name: string,
  value: unknown,
  at: string,
): void {
  const { fields } = definitions.get(name) ?? { fields: null };
  if (fields === null || typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error(`${at} is no ${name}`);
  for (const [key, part] of Object.entries(value)) {
    const field = fields.find((each) => each.name === key);
    if (field === undefined) throw new Error(`${at}.${key} is no field of ${name}`);
    if (field.isList && !Array.isArray(part)) throw new Error(`${at}.${key} is no list`);
    for (const [index, each] of (Array.isArray(part) ? part : [part]).entries()) {
      const place = field.isList ? `${at}.${key}[${index}]` : `${at}.${key}`;
      if (field.type in WIRE_TYPES) checkScalar(field.type, each, place);
      else {
        const [type, definition] = resolve(definitions, name, field.type);
        if (definition.fields !== null) checkJson(definitions, type, each, place);
        else if (typeof each !== "number" || !definition.numbers.has(each))
          throw new Error(`${place} is no ${type}: ${JSON.stringify(each)}`);
      }
    }
  }
}

const JSON_SCALARS: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  bytes: (value) => typeof value === "string" && /^(?:[0-9a-f]{2})*$/.test(value),
  bool: (value) => typeof value === "boolean",
  double: (value) => typeof value === "number",
  uint32: (value) => Number.isInteger(value),
  int32: (value) => Number.isInteger(value),
  fixed32: (value) => Number.isInteger(value),
};

function checkScalar(type: string, value: unknown, at: string): void {
  const isSound =
    JSON_SCALARS[type] ?? ((text: unknown) => typeof text === "string" && /^-?\d{1,20}$/.test(text));
  if (!isSound(value)) throw new Error(`${at} is no ${type}: ${JSON.stringify(value)}`);
}
