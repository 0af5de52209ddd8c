// The plots as a separate chunk: the library that draws them is loaded with the first one.
import { later } from "../parts/later.ts";

export const NumberPlots = later(async () => (await import("./number-plots.ts")).NumberPlots);
