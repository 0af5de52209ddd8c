// The hint below the editor: what the key at the cursor is, with its default and its documentation.
import { type ComponentChild, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { KeyPath } from "../code/key-at.ts";
import { hintLines, hintOf } from "../code/schema-hint.ts";
import { shown } from "../parts/text.ts";

/** In the shell: where the schema is, whose name changes with its content. */
const SCHEMA_NAMED_BY = 'meta[name="config-schema"]';

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
  const none = path.length === 0 ? [] : [`${path.join(".")}: no such key.`];
  const lines = hint === null ? (schema === null ? [] : none) : hintLines(hint);
  return h(
    "div",
    { class: "key-hint" },
    lines.map((line) => h("p", { key: line }, shown(line))),
  );
}
