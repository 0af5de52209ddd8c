// Large files, read and edited as TOML; the largest that there may be with MOUNTAINEER_PROPERTIES=all.
import { LARGEST_FILE_BYTES } from "../../../src/config/read/source-text.ts";
import { runsOf } from "../../support/properties.ts";
import { testLargeFiles } from "./large-files.ts";

testLargeFiles("config.toml", runsOf(LARGEST_FILE_BYTES));
