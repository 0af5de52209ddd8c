// Whether mounts of driver `netfs` may be relayed on this Mac. A self-test proves it and writes the result to
// a file in the home folder. Each version of macOS needs its own test, because its SMB client must survive
// the move to another route.
import { platform, release } from "node:os";
import { join } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { readIfPresent, writeDurably } from "../../../runtime/files/durable-file.ts";
import { flag, numberThat, object, reader, text } from "../../../runtime/shape.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import type { MissingRequirement } from "../mount-driver.ts";

export interface RelayTestResult {
  readonly proved: boolean;
  /** A text for people: since when the proof exists, or what is missing for a proof. */
  readonly reason: string;
}

interface RelayTestVerdict {
  /** Whether a file that was open before the move could still be read afterwards, over the new route. */
  readonly carried: boolean;
  /** The result in one line. */
  readonly text: string;
  /** Wall ms. */
  readonly atMs: number;
}

const FILE = "carry-proof.json";
const VERSION = 1;
const storedResult = reader(
  object({
    version: numberThat("1", (version) => version === VERSION),
    system: text,
    tested_at: text,
    carried: flag,
    text,
  }),
);
const RUN_IT = "run `mountaineer doctor --self-test` with a share of driver netfs configured";

/** The kernel's release changes with every update of the system. */
function currentSystem(): string {
  return `${platform()} ${release()}`;
}

/** Resolves when the proof is durable on the disk. */
export async function writeRelayTestResult(
  home: string,
  { carried, text: result, atMs }: RelayTestVerdict,
  system: string = currentSystem(),
): Promise<void> {
  const tested_at = new Date(atMs).toISOString();
  const content = { version: VERSION, system, tested_at, carried, text: result };
  await writeDurably(join(home, FILE), `${JSON.stringify(content, null, 2)}\n`);
}

/** Never rejects: a proof that cannot be read proves nothing. */
export async function readRelayTestResult(
  home: string,
  system: string = currentSystem(),
): Promise<RelayTestResult> {
  const path = join(home, FILE);
  let content: string | null;
  try {
    content = await readIfPresent(path);
  } catch (error) {
    return unproved(`${path} cannot be read (${errorText(error)}); ${RUN_IT}`);
  }
  if (content === null)
    return unproved(`no self-test on this Mac has shown that open files survive a move; ${RUN_IT}`);
  const proof = storedResult(jsonObject(content));
  if (proof === null) return unproved(`${path} is damaged, or of another version; ${RUN_IT}`);
  const { system: on, tested_at: at, carried } = proof;
  if (on !== system) return unproved(`it was tested on ${on}, and this is ${system}; ${RUN_IT}`);
  if (!carried) return unproved(`the self-test of ${at} failed: ${proof.text}`);
  return { proved: true, reason: `proved by the self-test of ${at}` };
}

function unproved(reason: string): RelayTestResult {
  return { proved: false, reason };
}

/** Why mounts may not be relayed, given this proof; null: they may. */
export function relayTestObstacle({ proved, reason }: RelayTestResult): MissingRequirement | null {
  return proved ? null : { text: reason, hint: "until then it is remounted on each route change" };
}
