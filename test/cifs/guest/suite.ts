// What the guest plays: node suite.js slice|all carry|plain [CHAPTER…]. Every part says its verdict; the host's test file waits for them.
import { carried } from "./carried.ts";
import { kernelWords, startNas } from "./nas.ts";
import { perRoute } from "./per-route.ts";
import { must } from "./run.ts";
import { user } from "./user.ts";
import { note } from "./verdicts.ts";

const [extent = "slice", product = "plain", ...chapters] = process.argv.slice(2);
const all = extent === "all";
const wanted = (name: string): boolean => chapters.length === 0 || chapters.includes(name);

await must(["modprobe", "cifs"]);
await startNas();
/** The product carries mounts: those that it shall not carry say so. */
const carries = product === "carry";
note(
  `node ${process.version}, ${all ? "all" : "the slice"}; the product ${carries ? "carries" : "does not carry"} mounts`,
);
const perRouteLines = carries ? ['carry = "off"'] : [];
if (wanted("per-route")) await perRoute(all, perRouteLines);
if (wanted("carried")) await carried(all, carries);
if (wanted("user")) await user(carries, perRouteLines);
note(await kernelWords());
process.exit(0);
