// The account in a line of fstab, for other programs that ask the same server.
import { readFile } from "node:fs/promises";
import { systemErrorCode } from "../../../runtime/errors.ts";
import type { ShareSpec } from "../../share-spec.ts";
import type { FstabEntry } from "./fstab.ts";

export type CifsAccount = Pick<ShareSpec, "username" | "password">;

/** null: the line does not say it, or in a way (a ticket, a file of root's) that only the kernel's client can use. */
export async function accountOf({ options }: FstabEntry): Promise<CifsAccount | null> {
  if (options.includes("guest")) return { username: "", password: null };
  if (options.some((one) => /^sec=krb5/i.test(one))) return null;
  const file = lastOf(options, /^cred(entials)?$/i);
  const members = file === null ? options : [...options, ...(await linesOf(file))];
  const username = lastOf(members, /^user(name)?$/i);
  const password = lastOf(members, /^pass(word)?$/i);
  const domain = lastOf(members, /^dom(ain)?$/i);
  if (username === null || password === null) return null;
  return { username: domain === null ? username : `${domain}\\${username}`, password };
}

/** Of `name=value`; the last one holds. */
function lastOf(members: readonly string[], name: RegExp): string | null {
  const member = members.findLast((one) => one.includes("=") && name.test(one.slice(0, one.indexOf("="))));
  return member === undefined ? null : member.slice(member.indexOf("=") + 1);
}

/** Of a credentials file (mount.cifs(8)), without the blanks before a name. Empty: this user may not read it. */
async function linesOf(file: string): Promise<readonly string[]> {
  try {
    return (await readFile(file, "utf8")).split("\n").map((line) => line.trimStart());
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return [];
  }
}
