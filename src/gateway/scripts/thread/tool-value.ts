// What a script gets of a tool's result, and what the client gets of the value that a script returns. Pure.

import { valueOr } from "../../../runtime/errors.ts";
import { countValues } from "../../../runtime/json/json-scan.ts";
import { MOST_VALUES } from "../../../runtime/json/large-json.ts";
import { isObject, type JsonMembers } from "../../../runtime/text/json-object.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import { BOUNDS } from "./thread-messages.ts";

export type ToolValue =
  | { readonly kind: "value"; readonly json: string }
  | { readonly kind: "error"; readonly text: string };

const MOST_IMAGES = 64;

/** Whether the daemon would not parse the JSON: it has more values than a message may have. */
export function hasTooMany(json: string): boolean {
  // Each value and what separates it from the next one take two characters.
  return json.length > 2 * MOST_VALUES && countValues(json) > MOST_VALUES;
}

/** Images, recordings and files of one script: the script has handles of them, and returns those. */
export class StoredBlocks {
  readonly #blocks = new Map<string, JsonMembers>();

  /** The value of a result of tools/call, given as JSON. */
  valueIn(json: string): ToolValue {
    // Parsing throws if the result is nested too deeply.
    const unread = { kind: "error", text: "the tool's result cannot be read" } as const;
    return valueOr(() => this.#valueOf(parseJson(json)), unread);
  }

  /** Its structured content, else its text, else a list of its parts. */
  #valueOf(result: unknown): ToolValue {
    if (!isObject(result)) return { kind: "error", text: "the server's result is not an object" };
    const content: readonly unknown[] = Array.isArray(result["content"]) ? result["content"] : [];
    if (result["isError"] === true) {
      const text = content.map((block) => textOf(block) ?? "").join("\n");
      return { kind: "error", text: text === "" ? "the tool failed without a message" : text };
    }
    const { structuredContent } = result;
    if (structuredContent !== undefined && structuredContent !== null) return value(structuredContent);
    const texts = content.map(textOf);
    if (texts.every((text) => text !== null)) return value(texts.join("\n"));
    return value(content.map((block) => textOf(block) ?? this.#handleOf(block)));
  }

  /** The blocks whose handles are anywhere in the returned value, each once; null: none. */
  blocksIn(json: string): string | null {
    if (this.#blocks.size === 0) return null;
    const found = new Map<string, JsonMembers>();
    let characters = 0;
    JSON.parse(json, (key, part: unknown) => {
      const block = key === "handle" && typeof part === "string" ? this.#blocks.get(part) : undefined;
      if (block === undefined || found.has(String(part))) return part;
      characters += JSON.stringify(block).length;
      const isWithin = found.size < MOST_IMAGES && characters <= BOUNDS.imageCharacters;
      if (isWithin) found.set(String(part), block);
      return part;
    });
    if (found.size === 0) return null;
    const blocks = JSON.stringify([...found.values()]);
    return hasTooMany(blocks) ? null : blocks;
  }

  /** A link and a text within a resource are values; blocks with bytes are stored here. */
  #handleOf(block: unknown): unknown {
    if (!isObject(block)) return null;
    const { type, mimeType, resource } = block;
    const bytes = bytesIn(block);
    if (bytes === "") return block;
    const handle = `${String(type)}-${this.#blocks.size + 1}`;
    this.#blocks.set(handle, block);
    const mime = isObject(resource) ? resource["mimeType"] : mimeType;
    return { type, handle, mimeType: mime ?? null, bytes: Math.floor((bytes.length * 3) / 4) };
  }
}

/** In base64; "": the block has none. */
function bytesIn({ data, resource }: JsonMembers): string {
  const bytes = isObject(resource) ? resource["blob"] : data;
  return typeof bytes === "string" ? bytes : "";
}

function value(given: unknown): ToolValue {
  const json = JSON.stringify(given);
  return json.length > BOUNDS.resultBytes
    ? { kind: "error", text: "the tool's result is too large for a script" }
    : { kind: "value", json };
}

function textOf(block: unknown): string | null {
  return isObject(block) && block["type"] === "text" && typeof block["text"] === "string"
    ? block["text"]
    : null;
}
