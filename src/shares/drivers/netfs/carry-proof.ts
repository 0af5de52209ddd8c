// Whether mounts of driver `netfs` may be carried on this Mac, as the self-test found out and noted in the home. A move
// is handled by the system's SMB client, so each version of the system is tested anew.
import { platform, release } from "node:os";
import { join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { isObject } from "../../../runtime/text/json-object.ts";
import type { Lacking } from "../mount-driver.ts";

export interface CarryProof {
  readonly proved: boolean;
  /** For people: since when it is proved, or what is missing. */
  readonly reason: string;
}

interface CarryVerdict {
  /** Reading the open file went on over the new route. */
  readonly carried: boolean;
  /** The result in one line. */
  readonly text: string;
  /** Wall ms. */
  readonly atMs: number;
}

const FILE = "carry-proof.json";
const VERSION = 1;
const RUN_IT = "run `mountaineer doctor --self-test` with a share of driver netfs configured";

/** The kernel's release changes with every update of the system. */
function currentSystem(): string {
  return `${platform()} ${release()}`;
}

/** Resolves when it is durable. */
export async function writeCarryProof(
  home: string,
  { carried, text, atMs }: CarryVerdict,
  system: string = currentSystem(),
): Promise<void> {
  const kept = { version: VERSION, system, tested_at: new Date(atMs).toISOString(), carried, text };
  await writeDurably(join(home, FILE), `${JSON.stringify(kept, null, 2)}\n`);
}

/** Never rejects: a proof that cannot be read proves nothing. */
export async function readCarryProof(home: string, system: string = currentSystem()): Promise<CarryProof> {
  const path = join(home, FILE);
  let kept: unknown;
  try {
    const text = await readIfPresent(path);
    if (text === null)
      return unproved(`it is not proved on this Mac that an open file outlives a move; ${RUN_IT}`);
    kept = JSON.parse(text);
  } catch (error) {
    return unproved(`${path} cannot be read (${errorText(error)}); ${RUN_IT}`);
  }
  if (!isObject(kept) || kept["version"] !== VERSION)
    return unproved(`${path} is not of this version; ${RUN_IT}`);
  const { system: on, tested_at: at, carried, text } = kept;
  if (on !== system) return unproved(`it was tested on ${String(on)}, and this is ${system}; ${RUN_IT}`);
  if (carried !== true) return unproved(`the self-test of ${String(at)} failed: ${String(text)}`);
  return { proved: true, reason: `proved by the self-test of ${String(at)}` };
}

function unproved(reason: string): CarryProof {
  return { proved: false, reason };
}

/** Why mounts are not carried with this proof; null: they are. */
export function carryRefusal({ proved, reason }: CarryProof): Lacking | null {
  return proved ? null : { text: reason, hint: "until then it is mounted anew for each route" };
}
