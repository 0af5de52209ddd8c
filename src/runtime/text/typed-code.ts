// Short codes that one place shows and a person types in another.
import { randomInt } from "node:crypto";

/** Letters and digits that cannot be mistaken for each other. */
const LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";

export function newCode(length: number): string {
  return Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}

/** A typed code may have letters of any case, dashes and spaces. */
export function plainCode(typed: string): string {
  return typed.replace(/[\s-]/g, "").toUpperCase();
}
