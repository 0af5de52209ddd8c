// Which tools have these words. Pure.

interface Searched {
  readonly name: string;
  readonly backend: string;
  readonly description: string | null;
}

/** Those that have each word somewhere; those that have one in their name come first. `backend` "" is any. */
export function searchTools<Tool extends Searched>(
  tools: readonly Tool[],
  words: string,
  backend: string,
): readonly Tool[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const mine = backend === "" ? tools : tools.filter((tool) => tool.backend === backend);
  if (wanted.length === 0) return mine;
  const ranked = mine.flatMap((tool) => {
    const name = tool.name.toLowerCase();
    const all = `${name} ${tool.backend.toLowerCase()} ${(tool.description ?? "").toLowerCase()}`;
    if (!wanted.every((word) => all.includes(word))) return [];
    return [{ tool, rank: wanted.filter((word) => name.includes(word)).length }];
  });
  return ranked.sort((one, other) => other.rank - one.rank).map(({ tool }) => tool);
}
