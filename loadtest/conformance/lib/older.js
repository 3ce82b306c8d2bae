module.exports = { name: 'older' };
