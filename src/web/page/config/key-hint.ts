// The hint below the editor: what the key at the cursor is, with its default and its documentation.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { code } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import type { KeyPath } from "./key-at.ts";
import { hintOf } from "./schema-hint.ts";

/** In the shell: where the schema is, whose name changes with its content. */
const SCHEMA_NAMED_BY = 'meta[name="config-schema"]';
const MOST_KEYS = 40;

/** The configuration's JSON Schema, once it is there; null: not yet, or it cannot be had. */
export function useConfigSchema(): unknown {
  const [schema, setSchema] = useState<unknown>(null);
  useEffect(() => {
    const end = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const path = document.querySelector<HTMLMetaElement>(SCHEMA_NAMED_BY)?.content;
        const response = path === undefined ? null : await fetch(path, { signal: end.signal });
        if (response?.ok) setSchema(await response.json());
      } catch {
        // Without it there are no hints; what is saved is checked by the daemon.
      }
    };
    void load();
    return () => end.abort();
  }, []);
  return schema;
}

export function KeyHintView({
  schema,
  path,
}: {
  readonly schema: unknown;
  readonly path: KeyPath;
}): ComponentChild {
  const hint = schema === null ? null : hintOf(schema, path);
  const about = ((): ComponentChild => {
    if (hint === null) return path.length === 0 ? "" : `${shown(path.join("."))}: no such key.`;
    if (hint.key === "") return ["Sections: ", keyList(hint.keys)];
    return [
      h(
        "p",
        { key: "key" },
        code(hint.key),
        ` ${hint.type}${hint.defaultText === null ? "" : `, default ${hint.defaultText}`}`,
      ),
      hint.description === null ? null : h("p", { key: "about" }, shown(hint.description)),
      hint.keys.length === 0 ? null : h("p", { key: "keys" }, "Keys: ", keyList(hint.keys)),
    ];
  })();
  return h("div", { class: "key-hint", id: "config-hint" }, about);
}

function keyList(keys: readonly string[]): string {
  return `${keys.slice(0, MOST_KEYS).join(", ")}${keys.length > MOST_KEYS ? ", …" : ""}`;
}
