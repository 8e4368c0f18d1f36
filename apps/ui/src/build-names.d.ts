/** Put in by the build: the name of the worker's file, relative to the page, and the version that the backend should have too. */
declare const layoutWorkerFile: string;
declare const pageBuild: string;

declare module "*.css";
