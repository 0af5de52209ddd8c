// A server that gives whatever texts its client names: `become` changes its lists, `give` answers with such a text. With a file as
// its argument it has `say`, which ends it with a text on stderr; what that file names are its instructions when it begins.
import { existsSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { type Json, Refusal, serve, text } from "../fixtures/scripted-server.ts";
import { ANSWERS, type Given, LISTS, PROGRAMS } from "./texts.ts";

/** A text by its place, piece and size. */
type Named = readonly [place: string, piece: string, characters: number];

const [, , said = ""] = process.argv;
let lists: Given = {};
let asked = 0;
/** Lists that stay equal are read ever less often. */
let changes = 0;

function made<Made>(
  places: Readonly<Record<string, (piece: string, characters: number) => Made>>,
  given: Json,
): Made | undefined {
  const [place, piece, characters] = given["made"] as Named;
  return places[place]?.(piece, characters);
}

const { instructions } = existsSync(said)
  ? (made(PROGRAMS, JSON.parse(readFileSync(said, "utf8"))) ?? {})
  : {};
const own = said === "" ? ["become", "give", "asked"] : ["say"];
const capabilities = {
  tools: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  prompts: { listChanged: true },
  completions: {},
};
const serverInfo = { name: "hostile", version: "1" };

const server = serve({
  name: "hostile",
  capabilities,
  tools: {
    become({ given }) {
      lists = made(LISTS, given) ?? {};
      asked = 0;
      changes += 1;
      for (const list of ["tools", "resources", "prompts"]) server.tell(`notifications/${list}/list_changed`);
      return text("");
    },
    give({ given }) {
      if (given["made"] === undefined) return text("");
      const { error, told, ...result } = made(ANSWERS, given) ?? {};
      if (told !== undefined) process.stdout.write(`${JSON.stringify(told)}\n`);
      if (error === undefined) return result;
      const { code, message, data } = error as { code: number; message: string; data: unknown };
      throw new Refusal(code, message, data);
    },
    async say({ given }) {
      writeFileSync(said, JSON.stringify(given));
      const bytes = Buffer.from(made(PROGRAMS, given)?.stderr ?? "");
      for (let at = 0; at < bytes.length; ) {
        try {
          at += writeSync(2, bytes, at);
        } catch {
          // The pipe is full.
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
      process.exit(1);
    },
    asked: () => text(String(asked)),
  },
  answers: {
    initialize: ({ params: { protocolVersion } }) => ({
      protocolVersion,
      capabilities,
      serverInfo,
      ...(instructions && { instructions }),
    }),
    "tools/list"() {
      asked += 1;
      return {
        tools: [
          ...own.map((name) => ({ name, description: `${changes}`, inputSchema: { type: "object" } })),
          ...(lists.tools ?? []),
        ],
      };
    },
    "resources/list": () => ({
      resources: [{ uri: "x:/own", name: `${changes}` }, ...(lists.resources ?? [])],
    }),
    "resources/templates/list": () => ({
      resourceTemplates: [
        { uriTemplate: "files://{+path}", name: "files" },
        ...(lists.resourceTemplates ?? []),
      ],
    }),
    "resources/subscribe": () => ({}),
    "prompts/list": () => ({
      prompts: [{ name: "own", description: `${changes}` }, ...(lists.prompts ?? [])],
    }),
  },
});
