// The thread that judges schemas: gets the JSON of tools as bytes, and gives the faulty ones.
import { parentPort } from "node:worker_threads";
import { parseExactly } from "../../runtime/text/exact-json.ts";
import { isJsonObject } from "../json-rpc.ts";
import { judgeTool, noWork, SOUND } from "./schema-faults.ts";

parentPort?.on("message", (tools: readonly Uint8Array[]) => {
  const all = tools.map((bytes) => parseExactly(Buffer.from(bytes).toString())).filter(isJsonObject);
  const work = noWork();
  const faulty = [...all.entries()].map(([at, tool]) => [at, judgeTool(tool, work)] as const);
  parentPort?.postMessage(faulty.filter(([, verdict]) => verdict !== SOUND));
});
