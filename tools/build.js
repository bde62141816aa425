// `npm run build`: the release bundles, dist/{hub,agent,plumb}.js. Each runs with Node 24 and nothing beside it,
// save dist/render-worker.js: the hub reads people's files in a thread of its own.
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages, explain, root } from "./setup.js";

const entries = {
  hub: "hub/start.ts",
  agent: "agent/start.ts",
  plumb: "cli/main.ts",
  "render-worker": "hub/render/render-worker.ts",
};

await explain(async () => {
  await ensurePackages();
  const { build } = await import("rolldown");
  const dist = join(root, "dist");
  rmSync(dist, { recursive: true, force: true });
  for (const [name, entry] of Object.entries(entries)) {
    await build({
      input: join(root, entry),
      platform: "node",
      // One copy of each package, and classes keep the names that errors are told apart by.
      output: {
        file: join(dist, `${name}.js`),
        format: "esm",
        codeSplitting: false,
        keepNames: true,
        minify: { compress: true, mangle: false },
        banner: name === "plumb" ? "#!/usr/bin/env node" : "",
      },
      logLevel: "warn",
    });
    process.stdout.write(`dist/${name}.js ${(statSync(join(dist, `${name}.js`)).size / 1e6).toFixed(2)} MB\n`);
  }
});
