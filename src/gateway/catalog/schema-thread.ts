// The thread that judges schemas: gets a JSON list of tools as bytes, and gives the faulty ones.
import { parentPort } from "node:worker_threads";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isJsonObject } from "../json-rpc.ts";
import { judgeTool, noWork, SOUND } from "./schema-faults.ts";

parentPort?.on("message", (bytes: Uint8Array) => {
  const tools = parseExactly(Buffer.from(bytes).toString());
  const all = Array.isArray(tools) ? tools.filter(isJsonObject) : [];
  const work = noWork();
  const faulty = [...all.entries()].map(([at, tool]) => [at, judgeTool(tool, work)] as const);
  parentPort?.postMessage(faulty.filter(([, verdict]) => verdict !== SOUND));
});
