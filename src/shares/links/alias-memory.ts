// `<home>/aliases.json`: the links that daemons with this home folder have made for aliases. Only these links
// are ever changed or removed, also after edits while no daemon ran.
import { rename } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { readRegularFile, writeDurably } from "../../runtime/files/durable-file.ts";
import { shareWrites } from "../../runtime/files/durable-value.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { list, number, object, reader, text } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";

const VERSION = 1;
const LARGEST_BYTES = 16 * 1024 * 1024;

export type AliasMemory = Awaited<ReturnType<typeof openAliasMemory>>;

const NONE: ReadonlySet<string> = new Set();

/**
 * Opens the record of alias links. A file that cannot be read is set aside. `readOnly`, for commands that
 * change nothing: the file is not written.
 */
export async function openAliasMemory(options: {
  readonly path: string;
  readonly logger: Logger;
  readonly readOnly: boolean;
}) {
  const { path: file, logger, readOnly } = options;
  const links = await load(file, logger, readOnly);
  const writes = shareWrites(() => writeDurably(file, encode(links)));
  const save = async (): Promise<void> => {
    if (!readOnly) await writes.write();
  };

  return {
    /** Paths at which a link was made, or was about to be made. */
    get paths(): readonly string[] {
      return [...links.keys()];
    },
    /** Returns the targets that daemons with this home folder have given the link at `path`. */
    targetsOf: (path: string): ReadonlySet<string> => links.get(path) ?? NONE,
    /** Resolves when the record is durable; rejects with the system's error. */
    async remember(path: string, target: string): Promise<void> {
      const targets = links.get(path) ?? new Set<string>();
      if (targets.has(target)) return;
      const grown = new Set([...targets, target]);
      links.set(path, grown);
      try {
        await save();
      } catch (error) {
        if (links.get(path) === grown) links.set(path, targets);
        throw error;
      }
    },
    /** Never rejects: after a failed write, the next start forgets the link again. */
    async forget(path: string): Promise<void> {
      if (!links.delete(path)) return;
      try {
        await save();
      } catch (error) {
        logger.warn("the record of alias links could not be written", {
          path: file,
          reason: errorText(error),
        });
      }
    },
  };
}

function encode(links: ReadonlyMap<string, ReadonlySet<string>>): string {
  const listed = [...links].map(([path, targets]) => ({ path, targets: [...targets] }));
  return `${JSON.stringify({ version: VERSION, links: listed }, null, 2)}\n`;
}

async function load(file: string, logger: Logger, readOnly: boolean): Promise<Map<string, Set<string>>> {
  let text: string | null;
  try {
    text = await readRegularFile(file, LARGEST_BYTES);
  } catch (error) {
    // Without the record, a link counts as ours only if its target is right.
    logger.warn("the record of alias links could not be read", { path: file, reason: errorText(error) });
    return new Map();
  }
  if (text === null) return new Map();
  const links = decode(text);
  if (links !== null) return links;
  const aside = `${file}.set-aside`;
  if (!readOnly) {
    try {
      await rename(file, aside);
      logger.warn("the record of alias links is not readable and was set aside", { path: aside });
    } catch (error) {
      if (systemErrorCode(error) === null) throw error;
      logger.warn("the record of alias links is not readable", { path: file, reason: errorText(error) });
    }
  }
  return new Map();
}

const memoryOf = reader(
  object({ version: number, links: list(object({ path: text, targets: list(text) })) }),
);

function decode(content: string): Map<string, Set<string>> | null {
  const memory = memoryOf(jsonObject(content));
  if (memory?.version !== VERSION) return null;
  return new Map(memory.links.map(({ path, targets }) => [path, new Set(targets)]));
}
