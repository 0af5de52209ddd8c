// What the guest plays: node suite.js slice|all carry|plain [CHAPTER…]. Every part says its verdict; the host's test file waits for them.
import { carried } from "./carried.ts";
import { kernelWords, startNas, tidy } from "./nas.ts";
import { perRoute } from "./per-route.ts";
import { must } from "./run.ts";
import { user } from "./user.ts";
import { note } from "./verdicts.ts";

const [extent = "slice", product = "plain", ...chapters] = process.argv.slice(2);
const all = extent === "all";

await must(["modprobe", "cifs"]);
await startNas();
/** The product carries mounts: those that it shall not carry say so. */
const carries = product === "carry";
note(
  `node ${process.version}, ${all ? "all" : "the slice"}; the product ${carries ? "carries" : "does not carry"} mounts`,
);
const perRouteLines = carries ? ['relay = "off"'] : [];
const chapter = async (name: string, play: () => Promise<void>): Promise<void> => {
  if (chapters.length > 0 && !chapters.includes(name)) return;
  await play();
  await tidy();
};
await chapter("carried", () => carried(all, carries));
if (all) await chapter("user", () => user(carries, perRouteLines));
// Last: where a dead mount is let go of with unsent data, Linux 6.1 may wait for itself, and every reconnect with it.
await chapter("per-route", () => perRoute(all, perRouteLines));
note(await kernelWords());
process.exit(0);
