import { defineConfig } from "vite";

// Everything ends up as plain files below /assets with a hash in the name: the server's content security policy allows
// nothing inline, so there are no data: addresses and no preload script. `npm run dev` passes /v1 on to a running server.
const server = process.env.GLEANER_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/v1": server, "/login": server } },
});
