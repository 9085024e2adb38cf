module.exports = async () => {
  process.env.WAS_SET_UP = "yes";
};
