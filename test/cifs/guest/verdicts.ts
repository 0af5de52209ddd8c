// Says what the suite found, a line each; the host's test file waits for them by their ids.
import { errorText } from "../../../src/runtime/errors.ts";

/** Runs one part; what it returns is what was seen, what it throws is what was wrong. */
export type Say = (id: string, part: () => Promise<string>) => Promise<void>;

/**
 * A row of parts that build on each other: when one is wrong, those after it are wrong for its reason, and so are all
 * of `ids` that were never reached.
 */
export async function chapter(ids: readonly string[], body: (say: Say) => Promise<void>): Promise<void> {
  const said = new Set<string>();
  const print = (id: string, ok: boolean, text: string, startedAt: number): void => {
    said.add(id);
    const tookMs = Math.round(performance.now() - startedAt);
    process.stdout.write(`verdict ${JSON.stringify({ id, ok, text, tookMs })}\n`);
  };
  const chapterAt = performance.now();
  try {
    await body(async (id, part) => {
      const startedAt = performance.now();
      try {
        print(id, true, await part(), startedAt);
      } catch (error) {
        print(id, false, textOf(error), startedAt);
        throw error;
      }
    });
  } catch (error) {
    for (const id of ids) if (!said.has(id)) print(id, false, `not reached: ${textOf(error)}`, chapterAt);
  }
  for (const id of ids) if (!said.has(id)) print(id, false, "not reached, and nobody says why", chapterAt);
}

export function note(text: string): void {
  process.stdout.write(`${text.replaceAll("\n", "\n  ")}\n`);
}

function textOf(error: unknown): string {
  const causes: string[] = [];
  for (let at: unknown = error; at !== undefined && causes.length < 4; ) {
    causes.push(errorText(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return causes.join("; because ").slice(0, 4000);
}
