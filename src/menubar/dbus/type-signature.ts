// D-Bus type signatures: "a{sv}" as a tree.
import { MountaineerError } from "../../runtime/errors.ts";

type BasicCode = "y" | "b" | "n" | "q" | "i" | "u" | "x" | "t" | "d" | "s" | "o" | "g" | "h";

export type DbusType =
  | { readonly code: BasicCode }
  | { readonly code: "v" }
  | { readonly code: "a"; readonly of: DbusType }
  | { readonly code: "r"; readonly fields: readonly DbusType[] }
  | { readonly code: "e"; readonly fields: readonly [DbusType, DbusType] };

const BASIC = "ybnqiuxtdsogh";
/** The protocol's limits for nested arrays and structs, and for a signature's length. */
const DEEPEST = 32;
const LONGEST = 255;

/** The complete types of a signature, in order. Throws `protocol` for an invalid signature. */
export function parseSignature(signature: string): readonly DbusType[] {
  if (signature.length > LONGEST) throw wrong(signature);
  const reader = { signature, at: 0 };
  const types: DbusType[] = [];
  while (reader.at < signature.length) types.push(readType(reader, 0));
  return types;
}

/** Alignment of a value of this type in bytes, counted from the message's start. */
export function alignmentOf({ code }: DbusType): number {
  switch (code) {
    case "y":
    case "g":
    case "v":
      return 1;
    case "n":
    case "q":
      return 2;
    case "x":
    case "t":
    case "d":
    case "r":
    case "e":
      return 8;
    default:
      return 4;
  }
}

interface Reader {
  readonly signature: string;
  at: number;
}

function readType(reader: Reader, depth: number): DbusType {
  const { signature } = reader;
  if (depth > DEEPEST) throw wrong(signature);
  const code = signature[reader.at];
  reader.at += 1;
  if (isBasic(code)) return { code };
  if (code === "v") return { code };
  if (code === "a") return { code, of: readElement(reader, depth + 1) };
  if (code === "(") {
    const fields: DbusType[] = [];
    while (signature[reader.at] !== ")") fields.push(readType(reader, depth + 1));
    reader.at += 1;
    if (fields.length === 0) throw wrong(signature);
    return { code: "r", fields };
  }
  throw wrong(signature);
}

function readElement(reader: Reader, depth: number): DbusType {
  const { signature } = reader;
  if (signature[reader.at] !== "{") return readType(reader, depth);
  reader.at += 1;
  if (!isBasic(signature[reader.at])) throw wrong(signature);
  const fields = [readType(reader, depth + 1), readType(reader, depth + 1)] as const;
  if (signature[reader.at] !== "}") throw wrong(signature);
  reader.at += 1;
  return { code: "e", fields };
}

function isBasic(code: string | undefined): code is BasicCode {
  return code !== undefined && BASIC.includes(code);
}

function wrong(signature: string): MountaineerError {
  return new MountaineerError("protocol", `${JSON.stringify(signature)} is not a D-Bus signature`);
}
