// Where a test runs, for what differs between systems: `{ skip: LINUX_ALONE }` and the like, each with its reason.
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";

/** Reads /proc, or asks for what only Linux does. */
export const LINUX_ALONE: string | false = process.platform === "linux" ? false : "Linux's alone";

/** What it wants to see missing is there on a Mac, and would really be called. */
export const NOT_ON_A_MAC: string | false = process.platform === "darwin" ? "macOS has it" : false;

/** `lo`, or a Mac's `lo0`. */
export const LOOPBACK_NAME: string =
  Object.entries(networkInterfaces()).find(([, list]) => list?.some(({ internal }) => internal))?.[0] ?? "lo";

/** Linux answers at all of 127.0.0.0/8, a Mac only at what is added. */
export const NO_SECOND_ADDRESS: string | false = await new Promise((resolve) => {
  const server = createServer();
  server.once("error", () =>
    resolve("needs 127.0.0.2: sudo ifconfig lo0 alias 127.0.0.2, and so on to 127.0.0.9"),
  );
  server.listen(0, "127.0.0.2", () => server.close(() => resolve(false)));
});
